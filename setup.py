"""The version, the packages and the requirements of tfvid; `pyproject.toml` has the rest of the metadata."""

import re
from pathlib import Path

from setuptools import find_packages, setup

# What `make docs` builds the documentation site with. The tests build it, too.
DOCS = ["mkdocs-material>=9.6,<10", "mkdocs<2", "mkdocstrings[python]>=0.30", "mkdocs-jupyter>=0.25"]
HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "tfvid/__init__.py").read_text()).group(1)

setup(
    version=VERSION,
    # The configurations lie beside the package in a checkout, and inside it where it is installed.
    packages=[*find_packages(include=["tfvid", "tfvid.*"]), "tfvid.configs"],
    package_dir={"tfvid.configs": "configs"},
    package_data={
        "": ["*.pyi", "py.typed"],
        "tfvid.report": ["static/*", "templates/*"],
        "tfvid.tensorboard": ["static/*"],
        "tfvid.configs": ["*.yaml"],
    },
    install_requires=[
        "tensorflow>=2.16",
        # Older ones cannot load what 3.15 saved, the models in saved_models/ among it.
        "keras>=3.15",
        "lazy-loader>=0.6",
        "jinja2>=3.1",
        "numpy>=1.26",
        # The same cv2 as opencv-python without its window code, which needs libGL from the system. 4.10 ends a video
        # where its header says, and headers lie.
        "opencv-python-headless>=4.11",
        # FFmpeg's libraries, which decode videos. Older ones do not tell which packets and frames are damaged.
        "av>=18",
        "scipy>=1.15",
        "tensorboard>=2.16",
        # TensorBoard up to 2.20, which TensorFlow up to 2.20 asks for, imports pkg_resources, which setuptools 82 no
        # longer has (tensorflow/tensorboard#7003). TensorBoard 2.21 does without. A requirement cannot depend on the
        # version of another package, so this one holds for all.
        "setuptools<82",
        "pyarrow>=15",
        "pyyaml>=6",
        "pillow>=10",
        "matplotlib>=3.8",
        "tqdm>=4.66",
        "threadpoolctl>=3.1",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.16"],
        # No longer maintained: its native code loads beside TensorFlow 2.16 and 2.17 only.
        # Those want NumPy 1, which pyarrow left behind without saying so to pip.
        "io": ["tensorflow-io==0.37.1", "tensorflow>=2.16,<2.18", "pyarrow<20"],
        # Explaining a whole dataset on several machines, `explain.py --engine ray`.
        "ray": ["ray>=2.40,<3"],
        # Supervoxels as the segments of LIME and Kernel SHAP.
        "supervoxels": ["scikit-image>=0.19"],
        # Models of other makes that tfvid explains, see tfvid/adapters/; their tests are skipped without them.
        "makes": ["torch>=2.4", "tf_keras>=2.16", "onnxruntime>=1.18", "openvino>=2024.4"],
        # `tfvid app`, and the viewers that `tfvid.export` writes for; their tests are skipped without them.
        "app": ["gradio>=6"],
        "fiftyone": ["fiftyone>=1.4"],
        "rerun": ["rerun-sdk>=0.41"],
        "wandb": ["wandb>=0.20"],
        "trackio": ["trackio>=0.20", "pandas"],
        # What `benchmarks/decode.py` and `benchmarks/engines.py` are compared with.
        "bench": ["decord>=0.6", "onnxruntime>=1.18", "openvino>=2024.4", "onnx", "tf2onnx"],
        # Other libraries' values of the same maps and measures, for tests that are skipped without them. They pin old
        # versions of much else, so give them an environment of their own.
        "peers": [
            *("tf-keras-vis>=0.8.7", "quantus>=0.6", "xplique>=2.0", "scikit-learn", "shap"),
            *("torch", "zennit>=0.5", "captum>=0.7"),
        ],
        "docs": DOCS,
        "test": [
            *DOCS,
            *("pytest>=8", "pytest-xdist>=3.7", "hypothesis>=6.100", "ruff>=0.6"),
            *(
                "ray>=2.40,<3",
                "fsspec",
                "moto[s3,server]>=5",
                "scikit-image>=0.19",
                "duckdb",
                "pandas",
                "statsmodels",
                "tfrecord",
            ),
            *("mypy>=2", "types-PyYAML"),
            *("nbclient>=0.10", "nbformat>=5.10", "ipykernel>=6.29"),  # the tutorials are executed
            "setuptools>=77",  # tests/docs/test_packaging.py builds a wheel with it
        ],
    },
)
