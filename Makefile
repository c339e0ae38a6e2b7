# Everything runs in .venv, a virtual environment that is made when it is missing
# and brought up to date when the requirements change.
#
#   make train                          # train on MNIST
#   make train ARGS="--dataset ring"    # with options
#   make test

PYTHON ?= python3
ARGS ?=

.PHONY: train test

train: .venv/requirements
	.venv/bin/python train_gan.py $(ARGS)

test: .venv/requirements-dev
	.venv/bin/python -m pytest $(ARGS)

.venv/requirements: requirements.txt
	$(install)

.venv/requirements-dev: requirements.txt requirements-dev.txt
	$(install)

# .venv/NAME is an empty file, as old as the last installation of NAME.txt.
define install
@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "needs Python 3.11 to 3.13, got %d.%d; name another one with PYTHON=..." % sys.version_info[:2])'
$(PYTHON) -m venv .venv
.venv/bin/python -m pip install --requirement $(@F).txt
@touch $@
endef
