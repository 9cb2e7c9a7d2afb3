/* SPDX-License-Identifier: Apache-2.0 */
#include "src/mount_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/files.h"
#include "src/cleanup.h"
#include "src/config_file.h"

static int read_file(const char *path, struct mount_config *config, struct err *err)
{
    struct option_spec table[MOUNT_OPTIONS_TABLE];
    size_t length;
    cleanup_free char *text = files_read(path, CONFIG_SIZE_MAX, &length);
    if (!text && errno == E2BIG)
        return err_set(err, E2BIG, "longer than %d bytes, which no configuration has to be", CONFIG_SIZE_MAX);
    if (!text)
        return err_set(err, errno, "%s", strerror(errno));
    const char *slash = strrchr(path, '/');
    cleanup_free char *directory = slash ? strndup(path, (size_t)(slash - path)) : NULL;
    if (slash && !directory)
        return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
    mount_options_table(&config->options, table);
    return config_parse(text, length, directory, table, &config->texts, err);
}

int mount_config_open(struct mount_options *options, struct mount_config *config, struct err *err)
{
    *config = (struct mount_config){0};
    if (!options->config)
        return 0;
    if (read_file(options->config, config, err) < 0)
        return err_wrap(err, "mount: %.300s", options->config);
    mount_options_inherit(options, &config->options);
    return 0;
}

void mount_config_close(struct mount_config *config)
{
    mount_options_free(&config->options);
    option_list_free(&config->texts);
}
