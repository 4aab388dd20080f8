"""Estimates how long a command will take, from the speed of this machine on a few seconds of work."""

import time

# Seconds that `probe` took on the reference machine: 2 cores of an AMD EPYC with AVX-512.
REFERENCE = 0.055


def pace() -> float:
    """The time that this machine needs, relative to the reference machine: 2 means half as fast."""
    return probe() / REFERENCE


def probe(runs: int = 4) -> float:
    """Seconds for a 3-D convolution in float32 and its gradients: the fastest of `runs`, after one that traces."""
    import tensorflow as tf

    clips, kernel = tf.ones((4, 16, 64, 64, 16)), tf.Variable(tf.ones((3, 3, 3, 16, 16)))

    @tf.function
    def work():
        with tf.GradientTape() as tape:
            tape.watch(clips)
            total = tf.reduce_sum(tf.nn.conv3d(clips, kernel, (1, 1, 1, 1, 1), "SAME"))
        return [total, *tape.gradient(total, [clips, kernel])]

    seconds = []
    for _ in range(runs + 1):
        begun = time.monotonic()
        [part.numpy() for part in work()]
        seconds.append(time.monotonic() - begun)
    return min(seconds[1:])


def about(seconds: float) -> str:
    """An estimate as text: "about 40 s", "about 3 min"."""
    if seconds < 90:
        return f"about {max(10 * round(seconds / 10), 10)} s"
    return f"about {round(seconds / 60)} min"
