/* SPDX-License-Identifier: Apache-2.0 */
#include "src/progress.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 24, PHASE_WIDTH = 44 };

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void progress_begin(struct progress *progress, FILE *to)
{
    *progress = (struct progress){.to = to, .percent = -1, .started_ms = now_ms()};
    progress->terminal = to && isatty(fileno(to));
}

/* "[########        ] 34%  copying files": without a fraction the bar is left empty. */
static void draw(const struct progress *progress)
{
    char bar[BAR_WIDTH + 1], percent[16] = "";
    int filled = progress->percent < 0 ? 0 : progress->percent * BAR_WIDTH / 100;

    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : ' ';
    bar[BAR_WIDTH] = '\0';
    if (progress->percent >= 0)
        snprintf(percent, sizeof percent, "%d%%", progress->percent);
    fprintf(progress->to, "\r[%s] %4s  %-*.*s", bar, percent, PHASE_WIDTH, PHASE_WIDTH, progress->phase);
    fflush(progress->to);
}

void progress_show(void *data, const char *phase, double fraction)
{
    struct progress *progress = data;
    int percent = fraction < 0 ? -1 : fraction >= 1 ? 100 : (int)(fraction * 100);

    if (!progress->to)
        return;
    bool new_phase = strncmp(phase, progress->phase, sizeof progress->phase - 1) != 0;
    if (!new_phase && percent == progress->percent)
        return;
    snprintf(progress->phase, sizeof progress->phase, "%s", phase);
    progress->percent = percent;
    progress->steps += new_phase;
    if (progress->terminal)
        draw(progress);
    else if (new_phase)
        fprintf(progress->to, "%6.1fs  %s\n", (double)(now_ms() - progress->started_ms) / 1000, progress->phase);
}

uint64_t progress_end(struct progress *progress)
{
    if (progress->to && progress->terminal && progress->steps > 0) {
        fprintf(progress->to, "\r%*s\r", BAR_WIDTH + PHASE_WIDTH + 10, "");
        fflush(progress->to);
    }
    return now_ms() - progress->started_ms;
}
