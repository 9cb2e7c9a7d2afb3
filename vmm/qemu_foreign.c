/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a machine that come with a checkpoint, which may be anybody's. QEMU takes much behind the commas of
 * -machine: firmware, a kernel, an initrd, a device tree, each a file of the host that the guest then reads. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "vmm/qemu_internal.h"

static bool is_one_of(const char *text, size_t length, const char *const *names)
{
    for (; *names; names++)
        if (strlen(*names) == length && strncmp(text, *names, length) == 0)
            return true;
    return false;
}

/* Properties that put a device of the board in or leave it out, or something of its firmware. */
static bool is_switch(const char *property, size_t length)
{
    static const char *const names[] = {"acpi", "graphics", "highmem", "hpet", "i8042", "its", "nvdimm", "pic", "pit",
                                        "sata", "smbus", "smm", "usb", "vmport", NULL};
    static const char *const values[] = {"on", "off", "auto", NULL};
    size_t name = strcspn(property, ",=");
    return name < length && property[name] == '=' && is_one_of(property, name, names) &&
           is_one_of(property + name + 1, length - name - 1, values);
}

/* The first part names the type of the machine: it has no "=", so that it cannot be another property. */
static int check_machine(const char *machine, struct err *err)
{
    size_t length = strcspn(machine, ",=");
    if (machine[length] == '=')
        return err_set(err, EINVAL, "machine \"%.200s\": it does not begin with a type of machine", machine);
    for (const char *at = machine + length; *at; at += length) {
        at++;
        length = strcspn(at, ",");
        if (!is_switch(at, length))
            return err_set(err, EINVAL, "machine \"%.200s\": a checkpoint may not choose \"%.*s\"", machine,
                           (int)(length < 100 ? length : 100), at);
    }
    return 0;
}

/* QEMU splits it at each comma, without exception, and sets what follows the model as properties of the processor: no
 * other option can be said with it, and none of these takes a file. */
static int check_cpu(const char *cpu, struct err *err)
{
    for (const char *at = cpu; *at; at++)
        if (!isalnum((unsigned char)*at) && (at == cpu || !strchr("_.+,=-", *at)))
            return err_set(err, EINVAL, "cpu \"%.200s\": it is not a model and its features", cpu);
    return 0;
}

int qemu_check_foreign(const char *machine, const char *cpu, struct err *err)
{
    int rc = machine ? check_machine(machine, err) : 0;
    return rc == 0 && cpu ? check_cpu(cpu, err) : rc;
}
