"""Trains a classifier from a configuration. A run that is killed continues where it stopped."""

import contextlib
import dataclasses
import math
import warnings
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from tfvid.config import RunConfig, to_yaml
from tfvid.core.errors import ConfigError, TfvidError
from tfvid.core.files import replacing
from tfvid.data.base import VideoDataset
from tfvid.data.pipeline import as_supervised, load_dataset, make_dataset
from tfvid.data.skipped import SkipLog
from tfvid.experiments.evaluation import predict
from tfvid.metrics import classification
from tfvid.models.build import build_model, load_initial_weights
from tfvid.models.card import ModelCard
from tfvid.models.compiling import compile_classifier
from tfvid.network.fast_layers import fast_layers
from tfvid.training import replicated
from tfvid.training.bar import Bar
from tfvid.training.callbacks import DamagedClips, Epochs, Logs, StopOnNaN
from tfvid.training.checkpoints import Checkpoints, History, best_epoch
from tfvid.training.distribution import Distribution, distribution
from tfvid.training.explain import explanation_logger
from tfvid.training.export import write_saved_model
from tfvid.training.optimizer import add_weight_decay, epoch_rate, make_optimizer
from tfvid.training.precision import policy
from tfvid.training.run import Run


def train(
    config: RunConfig,
    runs: str | Path = "runs",
    saved_models: str | Path = "saved_models",
    *,
    overwrite: bool = False,
    extend: bool = False,
    verbose: str | int = "auto",
) -> dict:
    """Trains ``config.model``. An interrupted run of the same configuration continues exactly where it stopped.

    A finished run is not trained again: its metrics are returned.

    Args:
      config: the configuration of the run.
      runs: config.yaml, checkpoints/, logs/ (for TensorBoard), model.keras, card.json and metrics.json are written to
        ``<runs>/<name>/``.
      saved_models: the SavedModel is written to ``<saved_models>/<name>/``. Both models are float32.
      overwrite: whether to start over if a run or model of this name exists.
      extend: whether to continue an existing run if ``train.epochs`` is larger than before. With a constant or plateau
        schedule the result equals that of a run with this number of epochs from the start. The rates of a cosine
        schedule depend on the number of epochs: the finished epochs keep the rates of the shorter run, and further
        epochs have those of the longer run.
      verbose: 0 prints nothing; 1 shows a bar within each epoch and prints a line after it; 2 prints the line only;
        "auto" is 1 on a terminal and 2 elsewhere.

    Returns:
      The content of metrics.json: ``validation`` (top_1, top_5, f1, f1_top_5 in [0, 1]) and ``class_f1`` by class
      name, both for the epoch that is kept; ``kept_epoch``, ``epochs``, ``parameters``, ``precision``; ``skipped``,
      {"train" or "validation": {id: reason}}; ``damaged``, the damaged clips in the same form; and ``history``, a
      record for each epoch.

    Raises:
      TfvidError: a setting is invalid, the loss is NaN or infinite, or the disk is full. Earlier checkpoints are kept.
    """
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    place = distribution(config.distribution, config.data.batch_size)
    with place.together():
        run = _opened(config, runs, saved_models, overwrite, extend, place)
        if run.metrics() is None:
            _train(config, run, place, verbose)
        place.wait()
        metrics = run.metrics()
        assert metrics is not None  # the run is finished
        return metrics


def _opened(config: RunConfig, runs, saved_models, overwrite: bool, extend: bool, place: Distribution) -> Run:
    """Opens the run's folder. The chief opens it first, and clears it if the run starts over."""
    if not place.chief:
        place.wait()
        return Run(config, runs, saved_models, chief=False)
    run = Run(config, runs, saved_models, overwrite, extend)
    place.wait()
    return run


def _train(config: RunConfig, run: Run, place: Distribution, verbose: str | int):
    """Trains the missing epochs. The chief writes the checkpoints and the results."""
    dataset = make_dataset(config.data)
    precision = policy(config.train.mixed_precision)
    with place.scope():
        model = _compiled_model(config, dataset, precision, place)
    export = _model(config, dataset)
    if place.chief:
        run.begin()
    checkpoints = Checkpoints(run.checkpoints, model, export, _card(config, dataset, export), writes=place.chief)
    history = checkpoints.restore()
    if config.model.weights and not history and not checkpoints.batches:
        load_initial_weights(model, config.model.weights)
    within = f"batch {checkpoints.batches} of epoch {len(history) + 1}" if checkpoints.batches else ""
    begun = f"continues after {within or f'epoch {len(history)}'}" if history or within else "starts"
    print(f"{config.name} {begun}: {config.train.epochs} epochs, {model.count_params():,} parameters, {precision}")
    if run.extended_from and config.train.schedule == "cosine":
        print(
            f"the cosine schedule depends on train.epochs: epochs up to {len(history)} were trained with the learning "
            f"rates of a run of {run.extended_from} epochs, further epochs with those of a run of {config.train.epochs}"
        )

    callbacks: list[keras.callbacks.Callback] = [StopOnNaN()]
    if place.chief:
        callbacks.append(Logs(run.folder / "logs"))
        if config.explain.log_every:
            split, logs = config.train.validation_split, run.folder / "logs"
            logger = explanation_logger(config.explain, config.data, dataset, split, checkpoints.card, logs)
            callbacks.append(logger)
    with _memory(config.data.batch_size):
        clips = _fit(config, dataset, checkpoints, history, verbose, callbacks, place)
    if place.chief:
        results = _finish(config, dataset, checkpoints, history, run)
        run.finish(results | {"precision": precision} | clips | {"history": history})


@contextlib.contextmanager
def _memory(batch_size: int):
    """Turns an out-of-memory error into one line. The batch is not halved: that would be another training."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        reason = error.message.splitlines()[0]
        raise TfvidError(
            f"out of memory with data.batch_size={batch_size} ({reason}); choose a smaller one; earlier "
            "checkpoints are kept"
        ) from error


def _model(config: RunConfig, dataset: VideoDataset, **options) -> keras.Model:
    """Builds the model of `config` for the classes of `dataset`; `options` are those of `build_model`."""
    model, data = config.model, config.data
    classes = len(dataset.class_names)
    return build_model(model.name, classes, data.num_frames, data.size, model.options, seed=config.seed, **options)


def _compiled_model(config: RunConfig, dataset: VideoDataset, precision: str, place: Distribution) -> keras.Model:
    """Builds the model in training, with its loss and its optimizer, whose variables are built, too."""
    model = _model(config, dataset, dtype=precision, synchronized=place.replicas > 1)
    add_weight_decay(model, config.train.weight_decay)
    compile_classifier(model, make_optimizer(config.train, _steps(config, dataset, place)))
    model.optimizer.build(model.trainable_variables)
    return model


def _steps(config: RunConfig, dataset: VideoDataset, place: Distribution) -> int:
    """Returns the number of batches of an epoch. Replicas use full batches only."""
    clips = len(dataset.samples(config.train.split))
    if place.strategy and clips < config.data.batch_size:
        raise ConfigError(f"data.batch_size must be at most the {clips} clips of {config.train.split!r}")
    steps = clips / config.data.batch_size
    return math.floor(steps) if place.strategy else math.ceil(steps)


def _fit(
    config: RunConfig,
    dataset: VideoDataset,
    checkpoints: Checkpoints,
    history: History,
    verbose: str | int,
    callbacks: list,
    place: Distribution,
) -> dict[str, dict[str, dict[str, str]]]:
    """Trains the missing epochs and extends `history`.

    Returns:
      ``skipped`` and ``damaged``: the unreadable and the damaged clips of this worker.
    """
    data_epoch = tf.Variable(len(history), dtype=tf.int64, trainable=False)
    skips = {part: SkipLog() for part in checkpoints.skipped}
    for part, log in skips.items():
        # The same dicts, so that clips found before a kill count, too, and are saved again.
        log.reasons, log.damaged = checkpoints.skipped[part], checkpoints.damaged[part]
    share, steps = place.share if place.strategy else None, _steps(config, dataset, place)
    training = load_dataset(
        config.data, config.train.split, training=True, epoch=data_epoch, skipped=skips["train"], share=share
    )
    validation = load_dataset(config.data, config.train.validation_split, skipped=skips["validation"], share=share)
    with contextlib.ExitStack() as stack:
        if verbose and place.chief:
            drawn = None if verbose == "auto" else verbose == 1
            bar = Bar(steps, config.train.epochs, drawn, checkpoints.batches)
            stack.callback(bar.close)
            callbacks = [*callbacks, bar, DamagedClips(skips)]
        stops_within = not (place.strategy or config.data.service)  # these cannot start within an epoch
        callbacks = [
            *callbacks,
            Epochs(epoch_rate(config.train), data_epoch, checkpoints, history, stops_within=stops_within),
        ]
        stack.enter_context(fast_layers(checkpoints.model))
        for log in skips.values():
            stack.enter_context(log.plain_errors())
        if place.strategy:
            clips = len(dataset.samples(config.train.validation_split))
            replicated.fit(
                checkpoints.model,
                place,
                training,
                validation,
                batch_size=config.data.batch_size,
                steps=steps,
                validation_steps=math.ceil(clips / config.data.batch_size),
                first_epoch=len(history),
                epochs=config.train.epochs,
                callbacks=callbacks,
            )
        else:
            batches = as_supervised(training), as_supervised(validation)
            _fit_here(config, checkpoints, history, *batches, steps, callbacks)
    return {
        "skipped": {part: dict(log.reasons) for part, log in skips.items()},
        "damaged": {part: dict(log.damaged) for part, log in skips.items()},
    }


def _fit_here(
    config: RunConfig,
    checkpoints: Checkpoints,
    history: History,
    training: tf.data.Dataset,
    validation: tf.data.Dataset,
    steps: int,
    callbacks: list,
) -> None:
    """Trains the missing epochs by `keras.Model.fit`, in this process. The first one may have been stopped within.

    Args:
      config: the configuration of the run.
      checkpoints: the state after `restore`, and its model.
      history: the records of the finished epochs; grows.
      training: batches (clips, labels).
      validation: batches (clips, labels).
      steps: the number of batches of an epoch.
      callbacks: Keras callbacks.
    """
    model, done = checkpoints.model, len(history)
    fit = partial(
        model.fit,
        validation_data=validation,
        shuffle=False,  # the dataset shuffles itself, by (seed, epoch)
        steps_per_epoch=steps if config.data.service else None,  # the dataset of a service does not end
        verbose=0,  # `Bar` shows the progress
        callbacks=callbacks,
    )
    with warnings.catch_warnings():
        # Keras warns at the end of a dataset of unknown length, such as the validation data, which omits bad clips.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        if checkpoints.batches:
            clip = tf.zeros((1, *model.input_shape[1:]))
            model.test_on_batch(clip, tf.zeros(1, tf.int32))  # creates the metric variables
        if checkpoints.batches == steps:
            _end_epoch(model, validation, done, callbacks)
        elif checkpoints.batches:
            # A call of its own, because Keras uses the length of the first epoch for all epochs.
            fit(training.skip(checkpoints.batches), initial_epoch=done, epochs=done + 1)
        if len(history) < config.train.epochs:
            fit(training, initial_epoch=len(history), epochs=config.train.epochs)


def _end_epoch(model: keras.Model, validation: tf.data.Dataset, epoch: int, callbacks: list):
    """Ends, as `fit` does, an epoch that was stopped after its last batch.

    `fit` itself would run the training step once more to find that no batch is left, and this changes dropout's state.
    """
    callbacks = keras.callbacks.CallbackList(callbacks, model=model, epochs=epoch + 1, steps=0)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(epoch)
    measured = model.evaluate(validation, verbose=0, callbacks=callbacks, return_dict=True)
    callbacks.on_epoch_end(epoch, {f"val_{name}": value for name, value in measured.items()})
    callbacks.on_train_end()


def _finish(config: RunConfig, dataset: VideoDataset, checkpoints: Checkpoints, history: History, run: Run) -> dict:
    """Measures the model of the epoch that is kept, and writes it as ``model.keras`` and as a SavedModel."""
    kept = best_epoch(history) if config.train.keep == "best" else len(history)
    model = checkpoints.load_epoch(kept)
    skips = SkipLog()
    with skips.plain_errors():
        predictions = predict(model, load_dataset(config.data, config.train.validation_split, skipped=skips))
    logits, labels = predictions.logits["forward"], predictions.labels
    measures = classification.scores(logits, labels)
    class_f1 = classification.f1(classification.confusion(labels, logits.argmax(axis=1), logits.shape[1]))

    card = dataclasses.replace(checkpoints.card, metrics=measures)
    with replacing(run.folder / "model.keras") as temporary:
        model.save(temporary)
    with replacing(run.folder / "card.json") as temporary:
        temporary.write_text(card.to_json(), encoding="utf-8")
    write_saved_model(run.saved_model, model, card, to_yaml(config))
    return {
        "validation": measures,
        "class_f1": dict(zip(dataset.class_names, class_f1.tolist(), strict=True)),
        "kept_epoch": kept,
        "epochs": len(history),
        "parameters": model.count_params(),
    }


def _card(config: RunConfig, dataset: VideoDataset, model: keras.Model) -> ModelCard:
    return ModelCard(
        name=config.name,
        class_names=tuple(dataset.class_names),
        num_frames=config.data.num_frames,
        size=config.data.size,
        dataset=config.data.dataset,
        layer=explained_layer(model),
        reverse_labels=dataset.reverse_labels,
        input_range=(0.0, 1.0),  # of the clips in training, whatever range the model's first layers imply
    )


def explained_layer(model: keras.Model) -> str | None:
    """Returns the layer that the paper explains with Grad-CAM: the last ConvLSTM2D, or else the last 5-D output."""
    recurrent = [layer.name for layer in model.layers if isinstance(layer, keras.layers.ConvLSTM2D)]
    spatial = [layer.name for layer in model.layers[1:] if len(getattr(layer.output, "shape", ())) == 5]
    return next(reversed(recurrent or spatial), None)
