/* SPDX-License-Identifier: Apache-2.0 */
#include "src/doctor.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <string.h>

static const char *const verdict_names[] = {[DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail"};

size_t doctor_run(const struct doctor_check *checks, struct doctor_item *items, size_t used)
{
    for (; checks->name && used < DOCTOR_MAX_ITEMS; checks++) {
        items[used] = (struct doctor_item){.name = checks->name};
        checks->run(&items[used++]);
    }
    return used;
}

bool doctor_usable(const struct doctor_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].verdict == DOCTOR_FAIL)
            return false;
    }
    return true;
}

static void set(struct doctor_item *item, enum doctor_verdict verdict, const char *fix, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void set(struct doctor_item *item, enum doctor_verdict verdict, const char *fix, const char *fmt, va_list ap)
{
    item->verdict = verdict;
    vsnprintf(item->reason, sizeof item->reason, fmt, ap);
    snprintf(item->fix, sizeof item->fix, "%s", fix ? fix : "");
}

void doctor_ok(struct doctor_item *item, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(item, DOCTOR_OK, NULL, fmt, ap);
    va_end(ap);
}

void doctor_warn(struct doctor_item *item, const char *fix, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(item, DOCTOR_WARN, fix, fmt, ap);
    va_end(ap);
}

void doctor_fail(struct doctor_item *item, const char *fix, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(item, DOCTOR_FAIL, fix, fmt, ap);
    va_end(ap);
}

static int name_width(const struct doctor_item *items, size_t count)
{
    size_t width = 0;
    for (size_t i = 0; i < count; i++)
        width = strlen(items[i].name) > width ? strlen(items[i].name) : width;
    return (int)width;
}

void doctor_print(FILE *to, const struct doctor_item *items, size_t count)
{
    int width = name_width(items, count);
    for (size_t i = 0; i < count; i++) {
        fprintf(to, "%-4s  %-*s  %s\n", verdict_names[items[i].verdict], width, items[i].name, items[i].reason);
        if (*items[i].fix)
            fprintf(to, "      %-*s  fix: %s\n", width, "", items[i].fix);
    }
    fputs(doctor_usable(items, count) ? "\ngondolin can be used here.\n"
                                      : "\ngondolin cannot be used here until what failed is fixed.\n",
          to);
}

void doctor_print_json(FILE *to, const struct doctor_item *items, size_t count)
{
    struct json_object *report = json_object_new_object();
    struct json_object *checks = json_object_new_array();
    json_object_object_add(report, "usable", json_object_new_boolean(doctor_usable(items, count)));
    json_object_object_add(report, "checks", checks);
    for (size_t i = 0; i < count; i++) {
        struct json_object *check = json_object_new_object();
        json_object_object_add(check, "name", json_object_new_string(items[i].name));
        json_object_object_add(check, "verdict", json_object_new_string(verdict_names[items[i].verdict]));
        json_object_object_add(check, "reason", json_object_new_string(items[i].reason));
        json_object_object_add(check, "fix", json_object_new_string(items[i].fix));
        json_object_array_add(checks, check);
    }
    const int style = JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE;
    fprintf(to, "%s\n", json_object_to_json_string_ext(report, style));
    json_object_put(report);
}
