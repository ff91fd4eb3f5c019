# SPDX-License-Identifier: Apache-2.0
"""Miniature models, one per kind of network."""

from collections.abc import Iterator

import pytest
import torch
from explain_nets import NETS, make

from viewer.models import Model


@pytest.fixture(autouse=True)
def _steady() -> Iterator[None]:
    """One seed for all, and one thread: for miniatures more cost time."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=NETS)
def model(request: pytest.FixtureRequest) -> Model:
    """A fresh model of every kind in turn."""
    return make(request.param)
