# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a network or a method while it explains: one sentence, and no other method's loss.

A network is somebody's program, and recording gradients asks more of it than predicting does. Whatever it
raises then is the refusal of the method that asked, never a traceback.
"""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from viewer.errors import ModelError, WhyscopeError
from viewer.explain.discover import built_in
from viewer.explain.explainer import Explainer
from viewer.explain.probe import Probe
from viewer.explain.shared import INPUT, NoInfluenceError
from viewer.models import starved

_KNOWN = {
    "use_reentrant": "it computes a part of itself again on the way back (reentrant gradient checkpointing), "
    "which allows no gradient to be asked for; use_reentrant=False in its code mends that",
    "requires grad. Use tensor.detach().numpy()": "it hands a tensor to numpy, which takes none that records "
    "a gradient; .detach() before .numpy() in its code mends that",
    "Inference tensors": "it runs in inference mode, which records no gradient",
}
"""What torch's words for common faults mean, by a part of them that has stayed the same."""
_REASON = 200


@contextmanager
def refusing(
    method: Explainer, refuse: Callable[[str], object], layers: Sequence[str] = ()
) -> Iterator[None]:
    """Within it a method works, and whatever is raised is told to `refuse`; only a cancel gets out."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a network, or somebody's method, may raise anything
        refuse(told(method, error, layers))


def told(method: Explainer, error: Exception, layers: Sequence[str] = ()) -> str:
    """What went wrong with a method in one sentence, which names it and the layers that it listened to."""
    network = isinstance(error, ModelError) and isinstance(error.__cause__, Exception)
    if network:
        error = error.__cause__  # type: ignore[assignment]  # the network predicts, but not so
    if isinstance(error, WhyscopeError):
        return f"{method.title}: {error}" if isinstance(error, ModelError) else str(error)
    names = [name for name in layers if name != INPUT]
    at = f" at the layer {', '.join(map(repr, names[:3]))}" if names else ""
    if starved(error) or isinstance(error, MemoryError):
        return f"{method.title}{at} needs more memory than there is; choose a smaller batch or the CPU."
    if isinstance(error, ModuleNotFoundError):
        return f"{method.title} cannot be run, as {error.name} is not installed."
    if not network and not (built_in(type(method)) and isinstance(error, RuntimeError)):
        return f"{method.title}{at} failed with {type(error).__name__}: {_reason(error)} ({_place(error)})."
    known = next((words for part, words in _KNOWN.items() if part in str(error)), _reason(error))
    other = "" if method.family == "perturbation" else " Methods that change the image need no gradient."
    return f"{method.title}{at} does not work in this network: {known.rstrip('.')}.{other}"


def _reason(error: Exception) -> str:
    """The first line of what was said."""
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:_REASON]


def _place(error: Exception) -> str:
    """Where it was raised, for whoever mends it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(place.filename).name}, line {place.lineno}"


def without_gradient(method: Explainer, probe: Probe, error: NoInfluenceError) -> str:
    """Why no gradient came to a layer: that the layer does not matter is said only once it was tried.

    Two forwards as it is and one with noise on what the layer gives, of the first input.
    """
    if error.layer == INPUT or not _matters(probe, error.layer):
        return str(error)
    return (
        f"{method.title} at the layer {error.layer!r} has nothing to go by: no gradient comes back to it, "
        "although what it gives changes the output, so the network cuts its graph in between (gradient "
        "checkpointing, no_grad or detach). Methods that change the image need no gradient."
    )


def _matters(probe: Probe, layer: str) -> bool:
    """Whether noise on what a layer gives moves the output by more than it moves by itself."""
    module, x = probe.module.get_submodule(layer), probe.x[:1]

    def said(change: Callable[[Tensor], Tensor]) -> Tensor:
        handle = module.register_forward_hook(lambda _m, _a, output: change(output))
        try:
            with torch.no_grad():
                return probe.forward(x)
        finally:
            handle.remove()

    probe.expect(3, "trying whether the layer matters")
    try:
        first, again, other = said(torch.clone), said(torch.clone), said(_noisy)
    except WhyscopeError:
        return False
    by_itself = float((again - first).abs().max())
    return float((other - first).abs().max()) > 2 * by_itself + 1e-5 * float(first.abs().max())


def _noisy(output: Tensor) -> Tensor:
    """What a layer gave, and noise as strong as that varies: a norm behind it undoes all that is even."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(output.shape, generator=generator).to(output.device, output.dtype)
    return output + noise * output.std().clamp(min=1e-3)
