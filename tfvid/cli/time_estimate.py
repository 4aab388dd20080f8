"""How fast this machine is, from a few seconds of work, to say in advance how long a command will take."""

import time

# Seconds that `probe` took on the machine that estimates are from: 2 cores of an AMD EPYC with AVX-512.
REFERENCE = 0.055


def pace() -> float:
    """How many times as long as the reference machine this one takes; 1 is alike, 2 is half as fast."""
    return probe() / REFERENCE


def probe(runs: int = 4) -> float:
    """Seconds for a 3-D convolution in float32 and its gradients, the fastest of `runs`; the first is not counted."""
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
    """Text for an estimate: "about 40 s", "about 3 min"."""
    if seconds < 90:
        return f"about {max(10 * round(seconds / 10), 10)} s"
    return f"about {round(seconds / 60)} min"
