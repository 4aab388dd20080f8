# Each of these first sets up what it needs in .venv.
# make explain VIDEO=any.mp4   explains one video with a small model of fights: runs/explain/index.html
# make demo                    trains two small models and explains held-out clips: runs/demo/index.html
# make audit-demo              audits the small model of fights: runs/audit-demo/index.html
# make test                    runs the tests
# make docs                    builds the documentation site: build/site/index.html
# make bench, make study, make lint, make compat: see below
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
PACKAGE := $(VENV)/.package

.PHONY: demo explain audit-demo test test-long test-io compat lint docs bench study models clean

# The demo needs the package only, not what the tests need (ray, moto, pandas, ...).
demo: $(PACKAGE)
	$(PY) scripts/demo.py

# Where and when a small model of fights looks in one video: runs/explain/index.html.
explain: $(PACKAGE)
	@test -n "$(VIDEO)" || { echo "name a video: make explain VIDEO=any.mp4"; exit 1; }
	$(PY) scripts/explain.py --model saved_models/fights_i3d --video "$(VIDEO)" --out runs/explain

# What the model of fights needs, when and where it looks, and which shortcuts would do, on the clips it was not trained on.
# Without the real clips beside the checkout, a model of drawn shapes.
FIGHTS := $(firstword $(wildcard $(addsuffix /fight_surv,$(TFVID_SHARED_DATA) ../shared/data)))
audit-demo: $(PACKAGE)
	$(PY) scripts/audit.py --out runs/audit-demo $(if $(FIGHTS),--model saved_models/fights_i3d --data $(FIGHTS),\
	  --model saved_models/shapes_i3d --data shapes --limit 56)

# Two processes: most of a test is TensorFlow tracing a graph, on one core. A file's tests stay together.
# The numeric tests run once more without oneDNN, whose kernels round differently: TensorFlow picks by CPU.
# Left out are their tests of what is refused and of which layer is taken, where no kernel has a say.
NUMERIC := $(wildcard $(patsubst %,tests/*/test_%.py,max_pool excitation integrated_gradients gradients guided_backprop \
  grad_cam fast_layers temporal_mask odd_numbers extremal_perturbation onednn))
test: $(READY)
	TF_ENABLE_ONEDNN_OPTS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long"
	TF_ENABLE_ONEDNN_OPTS=0 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long" $(NUMERIC) \
	  -k "not (default_layer or tfvid_first or refused or bad_options)"

# Every explainer on every build of model, and the like: CI runs these after the others.
test-long: $(READY)
	$(PY) -m pytest -n 2 -m long

# tensorflow-io's last release needs an old TensorFlow, so its tests have an environment of their own.
test-io: .venv-io/.ready
	LD_LIBRARY_PATH=$(CURDIR)/.venv-io/ffmpeg4 .venv-io/bin/python -m pytest tests/io

# The wheel in fresh environments, from the oldest TensorFlow that setup.py allows to the newest; one at a time:
# make compat COMPAT=oldest PYTHON=python3.12
compat:
	$(PYTHON) tests/compat.py $(COMPAT)

# Style, and the types of the package.
lint: $(READY)
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

# The documentation site. A warning is an error: a link without a target, a page that the navigation leaves out.
docs: $(READY)
	$(PY) -m mkdocs build --strict

# The short form, 8 minutes; benchmarks/ has the others, each with its command at the top.
bench: $(READY)
	$(PY) benchmarks/mask.py

# Two more seeds of each small model, and the study of all six: docs/study.md.
SEEDS := $(foreach seed,1 2,$(foreach model,i3d conv_lstm,saved_models/shapes_$(model)_seed$(seed)))
study: $(SEEDS)
	$(PY) scripts/compare.py --config configs/study_shapes_seeds.yaml --document docs/study.md

saved_models/shapes_%: $(READY)
	$(PY) scripts/train.py --config configs/shapes_$(firstword $(subst _seed, ,$*)).yaml explain.log_every=0 \
	  name=shapes_$* seed=$(lastword $(subst _seed, ,$*)) data.seed=$(lastword $(subst _seed, ,$*))

# The two small models that are committed under saved_models/: as configs/ say.
models: $(READY)
	rm -rf $(addprefix saved_models/shapes_,i3d conv_lstm) $(addprefix runs/shapes_,i3d conv_lstm shards)
	$(PY) scripts/prepare.py --config configs/shapes_i3d.yaml --out runs/shapes_shards --quality 95
	$(PY) scripts/train.py --config configs/shapes_i3d.yaml data.records=runs/shapes_shards
	$(PY) scripts/train.py --config configs/shapes_conv_lstm.yaml data.records=runs/shapes_shards

# pip shows what it downloads and installs. Python compiles a module when it is first imported, so pip need not
# compile all of them.
PIP := $(PY) -m pip install --disable-pip-version-check --no-compile

$(PACKAGE): setup.py pyproject.toml
	@$(call make-venv,$(VENV))
	$(PIP) -e .
	@touch $@

$(READY): $(PACKAGE)
	$(PIP) -e '.[test]'
	@touch $@

.venv-io/.ready: setup.py pyproject.toml
	@$(call make-venv,.venv-io)
	.venv-io/bin/python -m pip install --quiet --disable-pip-version-check -e '.[io,test]' \
	  'tensorflow==2.16.2' 'setuptools<81' 'moto[s3,server]>=5'
	.venv-io/bin/python tests/io/ffmpeg4.py .venv-io/ffmpeg4
	@touch $@

# A fresh Debian has Python without venv: root gets it installed, others are told.
define make-venv
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tfvid needs Python 3.11 or newer, this is " + sys.version)' || exit 1; \
if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -q -y python3-venv; \
  else echo "Python's venv is missing: sudo apt-get install python3-venv"; exit 1; fi; \
fi; \
$(PYTHON) -m venv $(1)
endef

clean:
	rm -rf $(VENV) .venv-io runs build dist *.egg-info
