/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the verdict of the acceleration probe in one line: "kvm MS REASON" or "tcg MS REASON". */
#include <stdio.h>

#include "vmm/accel.h"

int main(void)
{
    struct accel_verdict verdict;
    accel_probe(&verdict);
    printf("%s %u %s\n", verdict.kvm ? "kvm" : "tcg", verdict.took_ms, verdict.reason);
    return 0;
}
