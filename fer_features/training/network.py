"""A backbone's network in parts: what is behind a layer, and each layer's learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fer_features.backbones import Backbone
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import backend_name, import_keras


def tail_of(backbone: Backbone, network: Any, layer: str) -> Any:
    """A Keras model of what is behind a layer: its maps to the network's output.

    It has the network's own layers, not copies of them; behind the last there are none.

    Raises:
        FerError: there is no such layer, or what is behind it takes other layers' outputs too.
    """
    known = backbone.layer_outputs(network)
    backbone.check_layers([layer], known)
    keras = import_keras()
    if known[layer] is network.output:
        inputs = keras.Input(network.output.shape[1:])
        return keras.Model(inputs, keras.layers.Identity()(inputs))
    try:
        return keras.Model(known[layer], network.output)
    except ValueError as error:
        raise FerError(
            f"what is behind {layer} takes other layers' outputs too",
            hint="name the output of a block",
        ) from error


def freeze_before(network: Any, tail: Any) -> None:
    """Make all layers of a network that are not in its tail untrainable."""
    trained = {id(layer) for layer in tail.layers}
    for layer in network.layers:
        layer.trainable = id(layer) in trained


def rate_shares(network: Any, variables: Sequence[Any], *, decay: float) -> list[float]:
    """Each variable's share of the learning rate.

    It grows geometrically with the place of the variable's layer in the network, from `decay` for
    the first to 1 for the last, and is 1 behind the network (layer-wise learning-rate decay: Howard
    and Ruder, *Universal Language Model Fine-tuning for Text Classification*, 2018,
    https://arxiv.org/abs/1801.06146).
    """
    layers = [layer for layer in network.layers if layer.weights]
    last = max(len(layers) - 1, 1)
    share = {
        id(one): decay ** (1 - place / last)
        for place, layer in enumerate(layers)
        for one in layer.weights
    }
    return [share.get(id(one), 1.0) for one in variables]


def compiled_call(model: Any, *, training: bool = False) -> Callable[[Any], Any]:
    """A Keras model's call, compiled where the backend compiles: on a GPU many times faster."""
    match backend_name():
        case "tensorflow":
            import tensorflow as tf

            function: Callable[[Any], Any] = tf.function(lambda x: model(x, training=training))
            return function
        case "jax":
            return _compiled_by_jax(model, training)
        case _:
            return lambda x: model(x, training=training)


def _compiled_by_jax(model: Any, training: bool) -> Callable[[Any], Any]:
    import jax

    function = jax.jit(
        lambda trained, others, x: model.stateless_call(trained, others, x, training=training)
    )

    def run(x: Any) -> Any:
        trained, others = model.trainable_variables, model.non_trainable_variables
        found, new = function([v.value for v in trained], [v.value for v in others], x)
        if training:
            for variable, value in zip(others, new, strict=True):
                variable.assign(value)
        return found

    return run
