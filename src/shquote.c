/* SPDX-License-Identifier: Apache-2.0 */
#include "src/shquote.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_plain(const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=.,:/@%^";
    return *word && word[strspn(word, plain)] == '\0';
}

/* Appends the quoted word to `to` (NULL: only measures). Returns the bytes needed. */
static size_t quote(const char *word, char *to)
{
    size_t len = 0;
    if (is_plain(word)) {
        len = strlen(word);
        if (to)
            memcpy(to, word, len);
        return len;
    }
    static const char escaped[] = "'\\''";
    if (to)
        to[len] = '\'';
    len++;
    for (; *word; word++) {
        const char *piece = *word == '\'' ? escaped : word;
        size_t piece_len = *word == '\'' ? sizeof escaped - 1 : 1;
        if (to)
            memcpy(to + len, piece, piece_len);
        len += piece_len;
    }
    if (to)
        to[len] = '\'';
    return len + 1;
}

char *shquote_join(char *const *words)
{
    size_t size = 1;
    for (char *const *word = words; *word; word++)
        size += quote(*word, NULL) + 1;
    char *text = malloc(size);
    if (!text)
        return NULL;
    size_t len = 0;
    for (char *const *word = words; *word; word++) {
        if (word != words)
            text[len++] = ' ';
        len += quote(*word, text + len);
    }
    text[len] = '\0';
    return text;
}

/* One pass over the text. In the first `words` and `out` are NULL and things are counted, in the second they are
 * stored: the two passes cannot disagree about sizes. */
struct splitter {
    const char *at, *end;
    char **words, *out;
    size_t count, bytes;
    bool in_word;
};

static void put(struct splitter *s, char c)
{
    if (s->out)
        s->out[s->bytes] = c;
    s->bytes++;
}

static void begin_word(struct splitter *s)
{
    if (s->in_word)
        return;
    s->in_word = true;
    if (s->words)
        s->words[s->count] = s->out + s->bytes;
    s->count++;
}

static void end_word(struct splitter *s)
{
    if (s->in_word)
        put(s, '\0');
    s->in_word = false;
}

static int single_quoted(struct splitter *s)
{
    for (s->at++; s->at < s->end; s->at++) {
        if (*s->at == '\'') {
            s->at++;
            return 0;
        }
        put(s, *s->at);
    }
    return -EINVAL;
}

static int double_quoted(struct splitter *s)
{
    for (s->at++; s->at < s->end; s->at++) {
        if (*s->at == '"') {
            s->at++;
            return 0;
        }
        if (*s->at == '\\' && s->at + 1 < s->end && strchr("$`\"\\\n", s->at[1])) {
            s->at++;
            if (*s->at == '\n') /* a continued line */
                continue;
        }
        put(s, *s->at);
    }
    return -EINVAL;
}

static int escaped(struct splitter *s)
{
    if (s->at + 1 >= s->end)
        return -EINVAL;
    if (s->at[1] != '\n') {
        begin_word(s);
        put(s, s->at[1]);
    }
    s->at += 2;
    return 0;
}

static int split(struct splitter *s)
{
    int rc = 0;
    while (rc == 0 && s->at < s->end) {
        switch (*s->at) {
        case ' ':
        case '\t':
        case '\n':
            end_word(s);
            s->at++;
            break;
        case '\'':
            begin_word(s);
            rc = single_quoted(s);
            break;
        case '"':
            begin_word(s);
            rc = double_quoted(s);
            break;
        case '\\':
            rc = escaped(s);
            break;
        default:
            begin_word(s);
            put(s, *s->at++);
        }
    }
    end_word(s);
    return rc;
}

int shquote_split(const char *text, size_t len, char ***words, size_t *count)
{
    if (memchr(text, '\0', len))
        return -EINVAL;
    struct splitter measure = {.at = text, .end = text + len};
    int rc = split(&measure);
    if (rc < 0)
        return rc;
    size_t array_size = (measure.count + 1) * sizeof(char *);
    char **block = malloc(array_size + measure.bytes);
    if (!block)
        return -ENOMEM;
    struct splitter store = {.at = text, .end = text + len, .words = block, .out = (char *)block + array_size};
    split(&store);
    block[store.count] = NULL;
    *words = block;
    *count = store.count;
    return 0;
}
