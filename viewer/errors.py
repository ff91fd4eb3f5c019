# SPDX-License-Identifier: Apache-2.0
"""The errors a reader may meet. Each message is one sentence that says what is wrong and what to do."""

from pathlib import Path


class WhyscopeError(Exception):
    """A problem in the input or the request, told in one sentence for the reader."""


class SeriesError(WhyscopeError):
    """A file or series that cannot be opened, decoded or placed."""


class ModelError(WhyscopeError):
    """A model, its card or its weights that cannot be used as asked."""


class UntrustedError(ModelError):
    """A model whose own program would run: `path` is the file, the SHA-256 are its and its weights'.

    `model` is the name on the card.
    """

    def __init__(self, path: Path, code: str, weights: str, model: str) -> None:
        self.model = "".join(c for c in model if c.isprintable())
        super().__init__(
            f"{self.question(path, code)}; {self.advice(path)}, and repeat with --trust if you trust it."
        )
        self.path = path
        self.code = code
        self.weights = weights

    def question(self, path: Path, code: str) -> str:
        """Which model brings which program, and what that would do."""
        return (
            f"The model “{self.model}” brings a program of its own, {path}, SHA-256 {code}, which would "
            "run with your rights"
        )

    @staticmethod
    def advice(path: Path) -> str:
        """What to do before trusting: a Python file can be read, a program's archive cannot."""
        return "read it" if path.suffix == ".py" else "make sure that it comes from whom you think"


class ExplainerError(WhyscopeError):
    """A method that does not suit the model, the layer or the target."""


class PluginError(WhyscopeError):
    """An explainer of a third party that cannot be loaded or broke its contract."""


class ExportError(WhyscopeError):
    """A file that cannot be written as asked."""
