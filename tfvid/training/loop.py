"""Train one classifier: from a configuration to a run's folder and a saved model, through any number of kills."""

import contextlib
import dataclasses
import math
import warnings
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from tfvid.config import RunConfig
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
from tfvid.training.optimizer import add_weight_decay, make_optimizer
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
    """Trains ``config.model``; goes on exactly where an interrupted run of the same configuration stopped.

    A finished run is not trained again: its metrics are returned.

    Args:
      runs: ``<runs>/<name>/`` gets config.yaml, checkpoints/, logs/ (TensorBoard), model.keras, card.json and
        metrics.json.
      saved_models: ``<saved_models>/<name>/`` gets the SavedModel. Both models are float32.
      overwrite: start over, where a run or model of this name is there.
      extend: go on with the run that is there to ``train.epochs`` where these are more than it was started with. With
        a constant or plateau schedule the result is that of a run with so many epochs from the start. With a cosine
        schedule, whose rates depend on the number of epochs, the epochs done keep the rates of the shorter run, and
        the further ones have those of the longer one.
      verbose: 0 shows nothing, 1 a bar within each epoch and a line after it, 2 the line only; "auto" is 1 on a
        terminal and 2 elsewhere.

    Returns:
      The content of metrics.json: ``validation`` (top_1, top_5, f1, f1_top_5 in [0, 1]) and ``class_f1`` by class
      name, both of the kept epoch; ``kept_epoch``, ``epochs``, ``parameters``, ``precision``, ``skipped``
      {"train" or "validation": {id: reason}}, ``damaged``, the clips of damaged files in the same form, and
      ``history`` (a record an epoch).

    Raises:
      TfvidError: a setting that does not fit, a loss that is not a number, a full disk. One line; checkpoints
        written earlier are kept.
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
        assert metrics is not None  # the run has ended
        return metrics


def _opened(config: RunConfig, runs, saved_models, overwrite: bool, extend: bool, place: Distribution) -> Run:
    """The run's folder; the chief looks at it first, and clears it where the run is to start over."""
    if not place.chief:
        place.wait()
        return Run(config, runs, saved_models, chief=False)
    run = Run(config, runs, saved_models, overwrite, extend)
    place.wait()
    return run


def _train(config: RunConfig, run: Run, place: Distribution, verbose: str | int):
    """Trains the epochs that are left; the chief writes them, and what the run ends with."""
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
    begun = f"goes on after {within or f'epoch {len(history)}'}" if history or within else "starts"
    print(f"{config.name} {begun}: {config.train.epochs} epochs, {model.count_params():,} parameters, {precision}")
    if run.extended_from and config.train.schedule == "cosine":
        print(
            f"the cosine schedule depends on train.epochs: epochs up to {len(history)} were trained with the learning "
            f"rates of a run of {run.extended_from}, the others are with those of a run of {config.train.epochs}"
        )

    callbacks: list[keras.callbacks.Callback] = [StopOnNaN()]
    if place.chief:
        callbacks.append(Logs(run.folder / "logs"))
        if config.explain.log_every:
            callbacks.append(explanation_logger(config, dataset, checkpoints.card, run.folder / "logs"))
    with _memory(config):
        clips = _fit(config, dataset, checkpoints, history, verbose, callbacks, place)
    if place.chief:
        results = _finish(config, dataset, checkpoints, history, run)
        run.finish(results | {"precision": precision} | clips | {"history": history})


@contextlib.contextmanager
def _memory(config: RunConfig):
    """One line where there is too little: a smaller batch would be another training, so it is not made smaller here."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        reason = error.message.splitlines()[0]
        raise TfvidError(
            f"out of memory with data.batch_size={config.data.batch_size} ({reason}); "
            "lower it; checkpoints written earlier are kept"
        ) from error


def _model(config: RunConfig, dataset: VideoDataset, **options) -> keras.Model:
    """The model of `config`, for the classes of `dataset`; `options` are those of `build_model`."""
    model, data = config.model, config.data
    classes = len(dataset.class_names)
    return build_model(model.name, classes, data.num_frames, data.size, model.options, seed=config.seed, **options)


def _compiled_model(config: RunConfig, dataset: VideoDataset, precision: str, place: Distribution) -> keras.Model:
    """The model in training: loss, optimizer with its variables."""
    model = _model(config, dataset, dtype=precision, synchronized=place.replicas > 1)
    add_weight_decay(model, config.train.weight_decay)
    compile_classifier(model, make_optimizer(config.train, _steps(config, dataset, place)))
    model.optimizer.build(model.trainable_variables)
    return model


def _steps(config: RunConfig, dataset: VideoDataset, place: Distribution) -> int:
    """Batches an epoch; replicas take whole ones only."""
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
    """Trains the epochs that are left; extends `history`.

    Returns:
      ``skipped`` and ``damaged``: of this worker's clips, those that could not be read and those of damaged files.
    """
    data_epoch = tf.Variable(len(history), dtype=tf.int64, trainable=False)
    skips = {part: SkipLog() for part in checkpoints.skipped}
    for part, log in skips.items():
        # The same dicts: what was found before a kill counts, and is saved again.
        log.reasons, log.damaged = checkpoints.skipped[part], checkpoints.damaged[part]
    share = place.share if place.strategy else None
    training = load_dataset(
        config.data, config.train.split, training=True, epoch=data_epoch, skipped=skips["train"], share=share
    )
    validation = load_dataset(config.data, config.train.validation_split, skipped=skips["validation"], share=share)
    with contextlib.ExitStack() as stack:
        if verbose and place.chief:
            drawn = None if verbose == "auto" else verbose == 1
            bar = Bar(_steps(config, dataset, place), config.train.epochs, drawn, checkpoints.batches)
            stack.callback(bar.close)
            callbacks = [*callbacks, bar, DamagedClips(skips)]
        stops_within = not (place.strategy or config.data.service)  # these count their own steps
        callbacks = [*callbacks, Epochs(config.train, data_epoch, checkpoints, history, stops_within=stops_within)]
        stack.enter_context(fast_layers(checkpoints.model))
        for log in skips.values():
            stack.enter_context(log.plain_errors())
        if place.strategy:
            split = dataset.samples(config.train.validation_split)
            replicated.fit(
                checkpoints.model,
                place,
                training,
                validation,
                batch_size=config.data.batch_size,
                steps=_steps(config, dataset, place),
                validation_steps=math.ceil(len(split) / config.data.batch_size),
                first_epoch=len(history),
                epochs=config.train.epochs,
                callbacks=callbacks,
            )
        else:
            steps = _steps(config, dataset, place)
            _fit_here(
                config, checkpoints, history, as_supervised(training), as_supervised(validation), steps, callbacks
            )
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
    """Trains the epochs that are left by `keras.Model.fit`, in this process. The first one may have begun already.

    Args:
      training: (clips, labels) batches.
      validation: (clips, labels) batches.
      steps: of an epoch.
    """
    model, done = checkpoints.model, len(history)
    fit = partial(
        model.fit,
        validation_data=validation,
        shuffle=False,  # the data shuffles itself, by (seed, epoch)
        steps_per_epoch=steps if config.data.service else None,  # the data of a service does not end
        verbose=0,  # `Bar` shows the progress
        callbacks=callbacks,
    )
    with warnings.catch_warnings():
        # Keras warns at the end of a dataset of unknown length. The validation data is one: bad clips are left out.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        if checkpoints.batches:
            clip = tf.zeros((1, *model.input_shape[1:]))
            model.test_on_batch(clip, tf.zeros(1, tf.int32))  # makes the metric variables
        if checkpoints.batches == steps:
            _end_epoch(model, validation, done, callbacks)
        elif checkpoints.batches:
            # A call of its own: Keras takes the length of the first epoch for that of all.
            fit(training.skip(checkpoints.batches), initial_epoch=done, epochs=done + 1)
        if len(history) < config.train.epochs:
            fit(training, initial_epoch=len(history), epochs=config.train.epochs)


def _end_epoch(model: keras.Model, validation: tf.data.Dataset, epoch: int, callbacks: list):
    """Ends an epoch that was stopped after its last batch as `fit` does.

    `fit` itself would run the training step once more to learn that no batch is left, and so move dropout's state on.
    """
    callbacks = keras.callbacks.CallbackList(callbacks, model=model, epochs=epoch + 1, steps=0)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(epoch)
    measured = model.evaluate(validation, verbose=0, callbacks=callbacks, return_dict=True)
    callbacks.on_epoch_end(epoch, {f"val_{name}": value for name, value in measured.items()})
    callbacks.on_train_end()


def _finish(config: RunConfig, dataset: VideoDataset, checkpoints: Checkpoints, history: History, run: Run) -> dict:
    """Measures the epoch that is kept, and writes it as ``model.keras`` and as a saved model."""
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
    write_saved_model(run.saved_model, model, card, config)
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
        input_range=(0.0, 1.0),  # whatever the model's first layers say
    )


def explained_layer(model: keras.Model) -> str | None:
    """The layer the paper explains with Grad-CAM: the last ConvLSTM2D, or else the last output with a time axis."""
    recurrent = [layer.name for layer in model.layers if isinstance(layer, keras.layers.ConvLSTM2D)]
    spatial = [layer.name for layer in model.layers[1:] if len(getattr(layer.output, "shape", ())) == 5]
    return next(reversed(recurrent or spatial), None)
