"""The errors a reader may meet. Each message is one sentence that says what is wrong and what to do."""


class WhyscopeError(Exception):
    """A problem in the input or the request, told in one sentence for the reader."""


class SeriesError(WhyscopeError):
    """A file or series that cannot be opened, decoded or placed."""


class ModelError(WhyscopeError):
    """A model, its card or its weights that cannot be used as asked."""


class ExplainerError(WhyscopeError):
    """A method that does not suit the model, the layer or the target."""


class PluginError(WhyscopeError):
    """An explainer of a third party that cannot be loaded or broke its contract."""


class ExportError(WhyscopeError):
    """A file that cannot be written as asked."""
