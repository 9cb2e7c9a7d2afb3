/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.json of a checkpoint: written, read, freed. */
#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/checkpoint_internal.h"
#include "images/json_members.h"

enum { MAX_DEPTH = 16, MAX_ELEMENTS = 64 * 1024 };

static const char *const kinds[] = {[CHECKPOINT_FULL] = "full", [CHECKPOINT_DISK_ONLY] = "disk"};

int checkpoint_check_name(const char *name, struct err *err)
{
    return store_check_name("checkpoint", name, err);
}

void checkpoint_disk_name(unsigned i, char name[CHECKPOINT_DISK_NAME_SIZE])
{
    if (i == 0)
        snprintf(name, CHECKPOINT_DISK_NAME_SIZE, CHECKPOINT_DISK);
    else
        snprintf(name, CHECKPOINT_DISK_NAME_SIZE, CHECKPOINT_LAYER, i);
}

const struct manifest_file *checkpoint_file(const struct checkpoint_manifest *manifest, const char *name)
{
    return manifest_files_find(manifest->files, manifest->file_count, name);
}

bool checkpoint_is_of_memory(const char *name)
{
    static const char *const names[] = {CHECKPOINT_RAM, CHECKPOINT_STATE, CHECKPOINT_OUTPUT, CHECKPOINT_MOUNTS};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

unsigned checkpoint_layers(const struct checkpoint_manifest *manifest)
{
    char name[CHECKPOINT_DISK_NAME_SIZE];
    unsigned count = 0;
    do
        checkpoint_disk_name(count + 1, name);
    while (checkpoint_file(manifest, name) && ++count);
    return count;
}

void checkpoint_manifest_free(struct checkpoint_manifest *m)
{
    char *strings[] = {m->created, m->sandbox, m->image,  m->root_disk, m->parent, m->shape,
                       m->vmm,     m->machine, m->accel,  m->cpu,       m->append, m->method,
                       m->root_disk_state};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    json_object_put(m->jobs);
    json_object_put(m->mounts);
    manifest_files_free(m->files, m->file_count);
    *m = (struct checkpoint_manifest){0};
}

static void add_string(struct json_object *object, const char *name, const char *value)
{
    if (value && *value)
        json_object_object_add(object, name, json_object_new_string(value));
}

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
    json_object_object_add(object, name, json_object_new_uint64(value));
}

static struct json_object *format_machine(const struct checkpoint_manifest *m)
{
    struct json_object *machine = json_object_new_object();
    add_string(machine, "shape", m->shape);
    add_string(machine, "vmm", m->vmm);
    add_string(machine, "machine", m->machine);
    add_string(machine, "accel", m->accel);
    add_string(machine, "cpu", m->cpu);
    add_string(machine, "append", m->append);
    add_number(machine, "memory", m->memory);
    add_number(machine, "cpus", m->cpus);
    add_number(machine, "agent_protocol", m->agent_protocol);
    return machine;
}

char *checkpoint_manifest_format(const struct checkpoint_manifest *m)
{
    struct json_object *top = json_object_new_object();
    if (!top)
        return NULL;
    json_object_object_add(top, "schema", json_object_new_int(CHECKPOINT_SCHEMA));
    add_string(top, "kind", kinds[m->kind]);
    add_string(top, "created", m->created);
    add_string(top, "sandbox", m->sandbox);
    add_string(top, "build_id", m->build_id);
    add_string(top, "image", m->image);
    add_string(top, "root_disk", m->root_disk);
    add_string(top, "root_disk_state", m->root_disk_state);
    add_string(top, "parent", m->parent);
    json_object_object_add(top, "machine", format_machine(m));
    add_number(top, "pause_us", m->pause_us);
    add_number(top, "total_us", m->total_us);
    add_string(top, "method", m->method);
    if (m->jobs)
        json_object_object_add(top, "jobs", json_object_get(m->jobs));
    if (m->mounts)
        json_object_object_add(top, "mounts", json_object_get(m->mounts));
    json_object_object_add(top, "files", manifest_files_format(m->files, m->file_count));
    const char *text = json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    char *copy = NULL;
    if (text && asprintf(&copy, "%s\n", text) < 0)
        copy = NULL;
    json_object_put(top);
    return copy;
}

static int read_kind(struct json_reader *reader, struct json_object *value)
{
    struct checkpoint_manifest *m = reader->data;
    const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(text, kinds[i]) == 0) {
            m->kind = (enum checkpoint_kind)i;
            return 0;
        }
    }
    return json_members_wrong(reader, "kind", "must be \"full\" or \"disk\"");
}

static int read_machine(struct json_reader *reader, struct json_object *value)
{
    struct checkpoint_manifest *m = reader->data;
    const struct json_member members[] = {
        {.name = "shape", .kind = JSON_LINES, .optional = true, .to = &m->shape},
        {.name = "vmm", .kind = JSON_PHRASE, .optional = true, .to = &m->vmm},
        {.name = "machine", .kind = JSON_PHRASE, .optional = true, .to = &m->machine},
        {.name = "accel", .kind = JSON_PHRASE, .optional = true, .to = &m->accel},
        {.name = "cpu", .kind = JSON_PHRASE, .optional = true, .to = &m->cpu},
        {.name = "append", .kind = JSON_PHRASE, .optional = true, .to = &m->append},
        {.name = "memory", .kind = JSON_NUMBER, .to = &m->memory},
        {.name = "cpus", .kind = JSON_NUMBER, .to = &m->cpus},
        {.name = "agent_protocol", .kind = JSON_NUMBER, .to = &m->agent_protocol},
    };
    return JSON_MEMBERS_READ(reader, "machine", value, members);
}

static int read_list(struct json_reader *reader, const char *name, struct json_object *value, struct json_object **to)
{
    if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) > MAX_ELEMENTS)
        return json_members_wrong(reader, name, "not an array, or has too many elements");
    *to = json_object_get(value);
    return 0;
}

static int read_jobs(struct json_reader *reader, struct json_object *value)
{
    struct checkpoint_manifest *m = reader->data;
    return read_list(reader, "jobs", value, &m->jobs);
}

static int read_mounts(struct json_reader *reader, struct json_object *value)
{
    struct checkpoint_manifest *m = reader->data;
    return read_list(reader, "mounts", value, &m->mounts);
}

static int read_file(struct json_reader *reader, struct json_object *value)
{
    struct checkpoint_manifest *m = reader->data;
    return manifest_files_read(reader, value, m->files, &m->file_count);
}

/* A disk, perhaps layers without a gap, memory and devices for a full one, and no other file. */
static int read_files(struct json_reader *reader, struct json_object *value)
{
    struct checkpoint_manifest *m = reader->data;
    int code = json_members_array(reader, "files", value, MANIFEST_MAX_FILES, read_file);
    if (code < 0)
        return code;
    size_t expected = 1 + checkpoint_layers(m);
    for (size_t i = 0; i < m->file_count; i++)
        expected += checkpoint_is_of_memory(m->files[i].name);
    if (!checkpoint_file(m, CHECKPOINT_DISK))
        return json_members_wrong(reader, "files", CHECKPOINT_DISK " is missing");
    return m->file_count == expected ? 0 : json_members_wrong(reader, "files", "has a name that does not belong there");
}

static int read_top(struct json_reader *reader, struct json_object *top)
{
    struct checkpoint_manifest *m = reader->data;
    uint64_t schema;
    const struct json_member members[] = {
        {.name = "schema", .kind = JSON_NUMBER, .to = &schema},
        {.name = "kind", .kind = JSON_CUSTOM, .read = read_kind},
        {.name = "created", .kind = JSON_WORD, .to = &m->created},
        {.name = "sandbox", .kind = JSON_PHRASE, .to = &m->sandbox},
        {.name = "build_id", .kind = JSON_DIGEST, .to = m->build_id},
        {.name = "image", .kind = JSON_PHRASE, .optional = true, .to = &m->image},
        {.name = "root_disk", .kind = JSON_PHRASE, .optional = true, .to = &m->root_disk},
        {.name = "root_disk_state", .kind = JSON_TEXT, .optional = true, .to = &m->root_disk_state},
        {.name = "parent", .kind = JSON_WORD, .optional = true, .to = &m->parent},
        {.name = "machine", .kind = JSON_CUSTOM, .read = read_machine},
        {.name = "pause_us", .kind = JSON_NUMBER, .to = &m->pause_us},
        {.name = "total_us", .kind = JSON_NUMBER, .to = &m->total_us},
        {.name = "method", .kind = JSON_TEXT, .optional = true, .to = &m->method},
        {.name = "jobs", .kind = JSON_CUSTOM, .optional = true, .read = read_jobs},
        {.name = "mounts", .kind = JSON_CUSTOM, .optional = true, .read = read_mounts},
        {.name = "files", .kind = JSON_CUSTOM, .read = read_files},
    };
    return JSON_MEMBERS_READ(reader, "manifest", top, members);
}

/* How much of the file "output" the jobs lay claim to; src/job_record.c looks at the rest of them. */
static uint64_t held_output(struct json_object *jobs)
{
    static const char *const streams[] = {"stdout", "stderr"};
    uint64_t sum = 0;
    for (size_t i = 0; jobs && i < 2 * json_object_array_length(jobs); i++) {
        struct json_object *stream, *held;
        if (json_object_object_get_ex(json_object_array_get_idx(jobs, i / 2), streams[i % 2], &stream) &&
            json_object_object_get_ex(stream, "held", &held))
            sum += (uint64_t)json_object_get_int64(held);
    }
    return sum;
}

static int check_memory(const struct json_reader *reader, const struct checkpoint_manifest *m)
{
    const struct manifest_file *ram = checkpoint_file(m, CHECKPOINT_RAM);
    bool full = m->kind == CHECKPOINT_FULL;
    if (full != (ram != NULL) || full != (checkpoint_file(m, CHECKPOINT_STATE) != NULL))
        return json_members_wrong(reader, "files", "a full checkpoint has ram and state, a disk one has neither");
    if (full && ram->size != m->memory)
        return json_members_wrong(reader, "memory", "is not what the file " CHECKPOINT_RAM " has");
    return full && !m->shape ? json_members_wrong(reader, "shape", "is missing") : 0;
}

static int check_output(const struct json_reader *reader, const struct checkpoint_manifest *m)
{
    const struct manifest_file *output = checkpoint_file(m, CHECKPOINT_OUTPUT);
    if (held_output(m->jobs) == (output ? output->size : 0))
        return 0;
    return json_members_wrong(reader, "jobs", "their unread output is not what the file " CHECKPOINT_OUTPUT " has");
}

/* What the members have to do with one another. */
static int check_whole(const struct json_reader *reader, const struct checkpoint_manifest *m)
{
    if (m->parent && checkpoint_check_name(m->parent, NULL) < 0)
        return json_members_wrong(reader, "parent", "not a checkpoint's name");
    if ((m->image && m->image[0] != '/') || (m->root_disk && m->root_disk[0] != '/'))
        return json_members_wrong(reader, m->image ? "image" : "root_disk", "not an absolute path");
    int code = check_memory(reader, m);
    return code < 0 ? code : check_output(reader, m);
}

int checkpoint_manifest_parse(const char *text, size_t length, struct checkpoint_manifest *out, struct err *err)
{
    struct err own = {0};
    struct json_reader reader = {.what = "manifest", .data = out, .err = err ? err : &own};

    *out = (struct checkpoint_manifest){0};
    if (length > CHECKPOINT_MANIFEST_MAX)
        return err_set(err, EINVAL, "manifest: longer than %d bytes", CHECKPOINT_MANIFEST_MAX);
    struct json_object *top = json_members_parse(&reader, text, length, MAX_DEPTH, CHECKPOINT_SCHEMA);
    int code = top ? read_top(&reader, top) : -reader.err->code;
    if (code == 0)
        code = check_whole(&reader, out);
    json_object_put(top);
    if (code < 0)
        checkpoint_manifest_free(out);
    return code;
}
