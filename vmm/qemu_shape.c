/* SPDX-License-Identifier: Apache-2.0 */
/* What two machines must have in common for one to load the other's state. QEMU itself compares little of it, and with
 * another CPU model the guest just hangs. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "src/cleanup.h"
#include "vmm/child.h"
#include "vmm/known.h"
#include "vmm/qemu_internal.h"

enum { ASK_TIMEOUT_MS = 5000, LIST_MAX = 64 * 1024, TSC_STEP_KHZ = 5000 };

struct facts {
    char version[256]; /* "7.2.22 (Debian 1:7.2+...)" */
    char machine[64];  /* what the machine type is an alias of, or the type itself */
};

static void cut(char *text)
{
    text[strcspn(text, "\r\n")] = '\0';
}

/* A line of `-machine help`: "q35   Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-7.2)". */
static void find_alias(char *list, char *machine, size_t size)
{
    size_t length = strlen(machine);
    char *rest = list;
    for (char *line; (line = strsep(&rest, "\n"));) {
        const char *alias = strstr(line, "(alias of ");
        if (!alias || strncmp(line, machine, length) != 0 || line[length] != ' ')
            continue;
        alias += strlen("(alias of ");
        snprintf(machine, size, "%.*s", (int)strcspn(alias, ")"), alias);
        return;
    }
}

static int ask(const char *binary, struct facts *facts, struct err *err)
{
    cleanup_free char *output = malloc(LIST_MAX);
    char *version[] = {(char *)binary, "--version", NULL};
    char *machines[] = {(char *)binary, "-machine", "help", NULL};
    if (!output)
        return err_set(err, ENOMEM, "ask qemu for its version: out of memory");
    int rc = child_run(version, NULL, 0, ASK_TIMEOUT_MS, output, LIST_MAX, err);
    if (rc < 0)
        return rc;
    const char *number = strstr(output, "version ");
    snprintf(facts->version, sizeof facts->version, "%s", number ? number + strlen("version ") : output);
    cut(facts->version);
    rc = child_run(machines, NULL, 0, ASK_TIMEOUT_MS, output, LIST_MAX, err);
    if (rc == 0)
        find_alias(output, facts->machine, sizeof facts->machine);
    return rc;
}

static int learn(const struct qemu_plan *plan, struct facts *facts, struct err *err)
{
    struct stat st;
    cleanup_free char *key = NULL, *value = NULL;
    const char *machine = qemu_machine(plan);
    snprintf(facts->machine, sizeof facts->machine, "%.*s", (int)strcspn(machine, ","), machine);
    if (stat(plan->binary, &st) < 0)
        return err_errno(err, errno, "%s", plan->binary);
    if (asprintf(&key, "%s %ju %jd.%09ld %jd %s", plan->binary, (uintmax_t)st.st_ino, (intmax_t)st.st_mtim.tv_sec,
                 st.st_mtim.tv_nsec, (intmax_t)st.st_size, facts->machine) < 0) {
        key = NULL;
        return err_set(err, ENOMEM, "describe the machine: out of memory");
    }
    cleanup_free char *known = known_get("qemu", key);
    if (known && sscanf(known, "%255[^\n]\n%63[^\n]", facts->version, facts->machine) == 2)
        return 0;
    int rc = ask(plan->binary, facts, err);
    if (rc < 0)
        return rc;
    if (asprintf(&value, "%s\n%s\n", facts->version, facts->machine) < 0)
        value = NULL;
    if (value)
        known_put("qemu", key, value);
    return 0;
}

#ifdef __x86_64__
/* Features, which microcode and firmware take from processors of one stepping: Intel SDM volume 2A, CPUID, leaves 1, 7
 * and 0xd (the state that XSAVE keeps), and AMD's 0x80000001. None of these words differs between the cores of a host. */
static void put_cpu_features(FILE *out)
{
    static const struct {
        unsigned leaf;
        bool a, b, c, d;
    } words[] = {{.leaf = 1, .c = true, .d = true},
                 {.leaf = 7, .b = true, .c = true, .d = true},
                 {.leaf = 0xd, .a = true, .d = true},
                 {.leaf = 0x80000001, .c = true, .d = true}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        unsigned a = 0, b = 0, c = 0, d = 0;
        __get_cpuid_count(words[i].leaf, 0, &a, &b, &c, &d);
        fprintf(out, " %x:%x,%x,%x,%x", words[i].leaf, words[i].a ? a : 0, words[i].b ? b : 0, words[i].c ? c : 0,
                words[i].d ? d : 0);
    }
}
#endif

/* Vendor, family, model, stepping and features: with KVM the guest has the host's CPU. */
static void put_host_cpu(FILE *out)
{
#ifdef __x86_64__
    unsigned a = 0, vendor[3] = {0}, signature = 0, unused = 0;
    if (__get_cpuid(0, &a, &vendor[0], &vendor[2], &vendor[1]) && __get_cpuid(1, &signature, &unused, &unused, &unused)) {
        fprintf(out, "host_cpu %.12s %08x", (const char *)vendor, signature);
        put_cpu_features(out);
        fputc('\n', out);
        return;
    }
#endif
    fputs("host_cpu -\n", out);
}

static void add_devices(FILE *out, const struct argv *argv)
{
    for (size_t i = 1; i + 1 < argv->count; i++) {
        if (!strcmp(argv->words[i], "-device"))
            fprintf(out, "device %s\n", argv->words[i + 1]);
    }
}

/* The frequency rounded: it is measured anew after each boot, and a clock wrong by a thousandth is no reason. */
static void write_shape(FILE *out, const struct qemu_plan *plan, const struct facts *facts, const struct argv *argv)
{
    const char *machine = qemu_machine(plan);
    fprintf(out, "vmm qemu\nversion %s\narch %s\n", facts->version, plan->arch->name);
    fprintf(out, "machine %s%s\n", facts->machine, machine + strcspn(machine, ","));
    fprintf(out, "cpu %s\naccel %s\n", qemu_cpu(plan), plan->kvm ? "kvm" : "tcg");
    if (plan->kvm)
        put_host_cpu(out);
    else
        fputs("host_cpu -\n", out);
    fprintf(out, "host_tsc_mhz %u\n", (plan->tsc_khz + TSC_STEP_KHZ / 2) / TSC_STEP_KHZ * (TSC_STEP_KHZ / 1000));
    fprintf(out, "memory %llu\ncpus %u\n", (unsigned long long)qemu_memory(plan->config),
            plan->config->cpus ? plan->config->cpus : 1);
    add_devices(out, argv);
}

static char *shape_of(const struct qemu_plan *plan, const struct argv *argv, struct err *err)
{
    struct facts facts = {.version = ""};
    if (learn(plan, &facts, err) < 0)
        return NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out)
        write_shape(out, plan, &facts, argv);
    if (out && fclose(out) == 0)
        return text;
    free(text);
    err_set(err, ENOMEM, "describe the machine: out of memory");
    return NULL;
}

char *qemu_shape(const struct vmm_config *config, struct err *err)
{
    const struct qemu_arch *arch = qemu_arch_find(config->arch);
    if (!arch) {
        err_set(err, ENOEXEC, "the qemu backend does not run guests of this architecture");
        return NULL;
    }
    cleanup_free char *binary = qemu_binary(config, arch, err);
    if (!binary)
        return NULL;
    struct vmm_config booting = *config; /* the same devices, whether it boots or loads */
    booting.load = NULL;
    booting.kernel = booting.kernel ? booting.kernel : "";
    booting.overlay = booting.overlay ? booting.overlay : "";
    const struct qemu_plan plan = {.config = &booting, .arch = arch, .binary = binary,
                                   .kvm = qemu_choose_kvm(config, arch), .tsc_khz = known_tsc_khz()};
    struct argv argv = {.count = 0};
    char *text = qemu_args(&plan, &argv, err) == 0 ? shape_of(&plan, &argv, err) : NULL;
    argv_free(&argv);
    return text;
}

char *qemu_boot_options(const struct vmm_config *config)
{
    const struct qemu_arch *arch = qemu_arch_find(config->arch);
    if (!arch)
        return NULL;
    const struct qemu_plan plan = {.config = config, .arch = arch, .kvm = qemu_choose_kvm(config, arch)};
    return qemu_kernel_options(&plan);
}
