/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that can be known to be wrong before a machine is started, in one sentence. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/nearest.h"
#include "vmm/accel.h"
#include "vmm/child.h"
#include "vmm/program.h"
#include "vmm/qemu_internal.h"

enum { MAX_CPUS = 64, MIN_MEMORY_MIB = 128, LIST_TIMEOUT_MS = 5000, LIST_MAX = 64 * 1024 };

#define BINARY_PREFIX "qemu-system-"
#define MIB ((uint64_t)1 << 20)

/* What is wrong so far: the code of the first problem, the sentences of all. */
struct problems {
    int code;
    char text[sizeof ((struct err *)0)->text];
};

static void add_problem(struct problems *p, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void add_problem(struct problems *p, int code, const char *fmt, ...)
{
    char sentence[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    size_t used = strlen(p->text);
    snprintf(p->text + used, sizeof p->text - used, "%s%s", used ? "; " : "", sentence);
    if (!p->code)
        p->code = code;
}

char *qemu_binary(const struct vmm_config *config, const struct qemu_arch *arch, struct err *err)
{
    char name[64];
    snprintf(name, sizeof name, BINARY_PREFIX "%s", arch->name);
    const char *wanted = config->binary ? config->binary : name;
    char *path = program_find(wanted);
    if (path)
        return path;
    int code = errno;
    if (code == ENOENT && config->binary)
        err_set(err, code, "--qemu %s: no such program; for %s guests install: apt-get install %s", wanted, arch->name,
                arch->package);
    else if (code == ENOENT)
        err_set(err, code, "%s was not found; install it: apt-get install %s", wanted, arch->package);
    else
        err_errno(err, code, "%s cannot be executed", wanted);
    return NULL;
}

int qemu_probe(const struct vmm_config *config, struct err *err)
{
    const struct qemu_arch *arch = qemu_arch_find(config->arch);
    if (!arch)
        return err_set(err, EOPNOTSUPP, "the qemu backend does not support %s guests",
                       config->arch ? config->arch : "this host's kind of");
    cleanup_free char *binary = qemu_binary(config, arch, err);
    if (!binary)
        return -err->code;
    cleanup_free char *image_tool = program_find("qemu-img");
    if (!image_tool)
        return err_set(err, errno, "qemu-img was not found; install it: apt-get install qemu-utils");
    return 0;
}

/* Asks a QEMU which architecture it emulates: QMP on its standard input and output. */
static void ask_target(const char *binary, char *target, size_t size)
{
    static const char script[] = "{\"execute\":\"qmp_capabilities\"}"
                                 "{\"execute\":\"query-target\"}{\"execute\":\"quit\"}";
    char command[] = "printf %s \"$2\" | \"$1\" -M none -nodefaults -no-user-config -display none -S -qmp stdio";
    cleanup_free char *answer = malloc(LIST_MAX);
    char *argv[] = {"sh", "-c", command, "sh", (char *)binary, (char *)script, NULL};
    target[0] = '\0';
    if (!answer || child_run(argv, NULL, 0, LIST_TIMEOUT_MS, answer, LIST_MAX, NULL) < 0)
        return;
    const char *value = strstr(answer, "\"arch\": \"");
    if (value)
        snprintf(target, size, "%.*s", (int)strcspn(value + 9, "\""), value + 9);
}

/* The architecture from the binary's name, qemu-system-ARCH or qemu-system-ARCH-VARIANT; else it is asked. */
static void binary_target(const char *binary, char *target, size_t size)
{
    const char *slash = strrchr(binary, '/');
    const char *name = slash ? slash + 1 : binary;
    if (!strncmp(name, BINARY_PREFIX, strlen(BINARY_PREFIX))) {
        const char *arch = name + strlen(BINARY_PREFIX);
        snprintf(target, size, "%.*s", (int)strcspn(arch, "-"), arch);
    } else {
        ask_target(binary, target, size);
    }
}

static void check_binary(struct problems *p, const char *binary, const struct qemu_arch *arch)
{
    char target[32];
    binary_target(binary, target, sizeof target);
    if (!*target)
        add_problem(p, ENOEXEC, "--qemu %s does not answer as a QEMU system emulator", binary);
    else if (strcmp(target, arch->name) != 0)
        add_problem(p, ENOEXEC, "%s emulates %s, but the image is for %s: use " BINARY_PREFIX "%s (apt-get install %s)",
                    binary, target, arch->name, arch->name, arch->package);
}

static void check_kvm(struct problems *p, const struct qemu_arch *arch)
{
    struct utsname host;
    if (uname(&host) == 0 && strcmp(host.machine, arch->name) != 0) {
        add_problem(p, EOPNOTSUPP, "--accel kvm: this %s host cannot run %s guests with KVM; use --accel tcg",
                    host.machine, arch->name);
        return;
    }
    struct accel_verdict verdict;
    accel_probe(&verdict);
    if (!verdict.kvm)
        add_problem(p, EOPNOTSUPP, "--accel kvm: %s; use --accel tcg%s%s", verdict.reason, *verdict.fix ? ", or " : "",
                    verdict.fix);
}

static void check_accel(struct problems *p, const struct vmm_config *c, const struct qemu_arch *arch)
{
    static const char *const names[] = {"kvm", "tcg", NULL};
    if (!c->accel || !strcmp(c->accel, "tcg"))
        return;
    const char *near = nearest_match(c->accel, names);
    if (!strcmp(c->accel, "kvm"))
        check_kvm(p, arch);
    else if (near)
        add_problem(p, EINVAL, "--accel %s: no such acceleration; did you mean \"%s\"?", c->accel, near);
    else
        add_problem(p, EINVAL, "--accel %s: no such acceleration; known: kvm, tcg", c->accel);
}

/* Is `name` (up to a comma) a word of what `binary OPTION help` prints? Unknown when it prints nothing: then yes. */
static bool binary_knows(const char *binary, const char *option, const char *name)
{
    char *argv[] = {(char *)binary, (char *)option, "help", NULL};
    cleanup_free char *list = malloc(LIST_MAX);
    if (!list || child_run(argv, NULL, 0, LIST_TIMEOUT_MS, list, LIST_MAX, NULL) < 0 || !*list)
        return true;
    size_t length = strcspn(name, ",");
    char *rest = list;
    for (char *word; (word = strsep(&rest, " \t\n"));) {
        if (strlen(word) == length && !strncmp(word, name, length))
            return true;
    }
    return false;
}

static bool machine_supported(const struct qemu_arch *arch, const char *machine)
{
    size_t length = strcspn(machine, ",");
    for (const char *const *type = arch->machines; *type; type++) {
        size_t n = strlen(*type);
        if (n <= length && !strncmp(machine, *type, n) && (n == length || machine[n] == '-'))
            return true;
    }
    return false;
}

static void check_machine(struct problems *p, const struct vmm_config *c, const struct qemu_arch *arch,
                          const char *binary)
{
    if (c->machine && !machine_supported(arch, c->machine))
        add_problem(p, EOPNOTSUPP, "--machine %s: a sandbox runs on %s (or a version of it) only", c->machine,
                    arch->machines[0]);
    else if (c->machine && !binary_knows(binary, "-machine", c->machine))
        add_problem(p, EINVAL, "--machine %s: no such machine; see: %s -machine help", c->machine, binary);
    bool tcg = !c->accel || strcmp(c->accel, "kvm") != 0;
    if (c->cpu && tcg && !strncmp(c->cpu, "host", 4) && (c->cpu[4] == '\0' || c->cpu[4] == ','))
        add_problem(p, EOPNOTSUPP, "--cpu host needs --accel kvm");
    else if (c->cpu && !binary_knows(binary, "-cpu", c->cpu))
        add_problem(p, EINVAL, "--cpu %s: no such CPU; see: %s -cpu help", c->cpu, binary);
}

static void check_sizes(struct problems *p, const struct vmm_config *c)
{
    uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    unsigned long long mib = c->memory / MIB;
    if (c->cpus > MAX_CPUS)
        add_problem(p, EINVAL, "--cpus %u: at most %d", c->cpus, MAX_CPUS);
    if (c->memory && mib < MIN_MEMORY_MIB)
        add_problem(p, EINVAL, "--memory %llu bytes: at least %dM is needed to boot", (unsigned long long)c->memory,
                    MIN_MEMORY_MIB);
    else if (c->memory % MIB)
        add_problem(p, EINVAL, "--memory %llu bytes: must be a multiple of 1M", (unsigned long long)c->memory);
    else if (c->memory > host)
        add_problem(p, EINVAL, "--memory %lluM: this host has %lluM", mib, (unsigned long long)(host / MIB));
}

static bool has_control_characters(const char *text)
{
    for (; text && *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    }
    return false;
}

static void check_kernel_options(struct problems *p, const struct vmm_config *c, const struct qemu_arch *arch)
{
    const struct qemu_plan plan = {.config = c, .arch = arch, .tsc_khz = UINT32_MAX};
    cleanup_free char *options = qemu_kernel_options(&plan);
    if (has_control_characters(c->append) || has_control_characters(c->kernel_append))
        add_problem(p, EINVAL, "--append: control characters are not allowed in a kernel command line");
    else if (options && strlen(options) > QEMU_KERNEL_OPTIONS_MAX)
        add_problem(p, EINVAL, "--append: the kernel command line would have %zu bytes; at most %d are possible",
                    strlen(options), QEMU_KERNEL_OPTIONS_MAX);
}

static void check_readable(struct problems *p, const char *what, const char *path)
{
    if (path && access(path, R_OK) < 0)
        add_problem(p, errno, "%s %s: %s", what, path, strerror(errno));
}

/* Only qcow2 is accepted: told to guess, QEMU would believe whatever a guest has written to the start of a raw disk. */
static void check_root_disk(struct problems *p, const struct vmm_config *c)
{
    char magic[4] = "";
    if (c->root_mode == VMM_ROOT_PERSISTENT && access(c->root_disk, W_OK) < 0) {
        add_problem(p, errno, "root disk %s: %s; to leave it unchanged use --root-mode cow", c->root_disk,
                    strerror(errno));
        return;
    }
    cleanup_close int fd = open(c->root_disk, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        add_problem(p, errno, "root disk %s: %s", c->root_disk, strerror(errno));
    else if (read(fd, magic, sizeof magic) != sizeof magic || memcmp(magic, "QFI\xfb", sizeof magic) != 0)
        add_problem(p, EINVAL, "root disk %s is not a qcow2 file; make one: qemu-img convert -O qcow2 %s NEW.qcow2",
                    c->root_disk, c->root_disk);
    else if (c->root_mode == VMM_ROOT_COW && !c->overlay)
        add_problem(p, EINVAL, "root disk %s: no place was given for its overlay", c->root_disk);
}

/* QEMU maps the memory privately, but opens it for writing all the same. */
static void check_load(struct problems *p, const struct vmm_config *c)
{
    struct stat st;
    check_readable(p, "device state", c->load->state);
    if (access(c->load->ram, R_OK | W_OK) < 0 || stat(c->load->ram, &st) < 0)
        add_problem(p, errno, "memory %s: %s", c->load->ram, strerror(errno));
    else if ((uint64_t)st.st_size != qemu_memory(c))
        add_problem(p, EINVAL, "memory %s has %llu bytes, the machine %llu", c->load->ram,
                    (unsigned long long)st.st_size, (unsigned long long)qemu_memory(c));
}

static int verdict(const struct problems *p, struct err *err)
{
    return p->code ? err_set(err, p->code, "%s", p->text) : 0;
}

int qemu_check_load(const struct vmm_config *c, struct err *err)
{
    struct problems p = {.code = 0};
    if (c->load)
        check_load(&p, c);
    return verdict(&p, err);
}

static void check_kernel(struct problems *p, const struct vmm_config *c, const struct qemu_arch *arch)
{
    check_kernel_options(p, c, arch);
    check_readable(p, "kernel", c->kernel);
    check_readable(p, "initramfs", c->initrd);
    if (!c->kernel)
        add_problem(p, EINVAL, "a kernel is needed");
}

int qemu_check(const struct vmm_config *c, struct err *err)
{
    const struct qemu_arch *arch = qemu_arch_find(c->arch);
    int rc = qemu_probe(c, err);
    if (rc < 0)
        return arch ? rc : err_set(err, ENOEXEC, "the image is for %s, which the qemu backend does not run", c->arch);

    struct problems p = {.code = 0};
    cleanup_free char *binary = qemu_binary(c, arch, err);
    if (!binary)
        return -err->code;
    check_binary(&p, binary, arch);
    check_accel(&p, c, arch);
    if (p.code != ENOEXEC)
        check_machine(&p, c, arch, binary);
    check_sizes(&p, c);
    if (c->load)
        check_load(&p, c);
    else
        check_kernel(&p, c, arch);
    if (c->root_disk)
        check_root_disk(&p, c);
    if (c->port_count > VMM_MAX_PORTS)
        add_problem(&p, EINVAL, "at most %d ports are possible", VMM_MAX_PORTS);
    return verdict(&p, err);
}
