# SPDX-License-Identifier: Apache-2.0
"""What a program with a window asks of torch before the first model."""

import torch


def first_dry_run() -> None:
    """Run a network of nothing on data of no values, as models are examined: half of torch comes with it."""
    with torch.device("meta"):
        network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1)).eval()
        network(torch.empty(1, 1, 2, 2))


def leave_one_core() -> None:
    """Compute on all processors but one: an explanation else takes all of them.

    On two processors an explanation then takes 1.1 to 1.4 times as long, on many hardly longer. Holds for the
    work of the thread that calls.
    """
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))
