# SPDX-License-Identifier: Apache-2.0
"""Constants of the C headers, for what speaks the protocols without them."""
import math
import os
import re

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def constant(header, name):
    """A number or a product of numbers."""
    with open(os.path.join(TOP, header), encoding="utf-8") as text:
        value = re.search(rf"^\s*{name} = ([\d* ]+),", text.read(), re.MULTILINE).group(1)
    return math.prod(int(factor) for factor in value.split("*"))
