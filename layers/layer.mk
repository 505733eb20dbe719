# What the Makefiles of the layers share. Each folder has a link to this file: `sam build` copies one folder alone, and a
# link as the file it leads to. ARCHITECTURE must be that of the template's parameter.

ARCHITECTURE ?= arm64
PYTHON ?= python3
PYTHON_LAMBDA ?= python3.13
INTO := $(ARTIFACTS_DIR)/python
MACHINE := $(patsubst arm64,aarch64,$(ARCHITECTURE))
# The functions' Amazon Linux 2023 has glibc 2.34; pip asks for each older name of a platform by itself.
PLATFORMS := $(foreach glibc,2_28 2_27 2_26 2_24 2_17,--platform manylinux_$(glibc)_$(MACHINE)) --platform manylinux2014_$(MACHINE)
# Compiled files are of use to the one version that wrote them; without them imports take twice the time.
COMPILER := $(shell for each in "$(PYTHON_LAMBDA)" "$(PYTHON)"; do \
  "$$each" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && echo "$$each" && break; done)

ifeq ($(filter $(ARCHITECTURE),arm64 x86_64),)
$(error ARCHITECTURE must be arm64 or x86_64, got '$(ARCHITECTURE)')
endif

# Installs the wheels of a file of requirements for the functions' processor, whatever this machine's is.
INSTALL = $(PYTHON) -m pip --disable-pip-version-check --no-input install --quiet --no-compile --no-deps --require-hashes \
  --target "$(INTO)" $(PLATFORMS) --implementation cp --python-version 3.13 --only-binary :all: -r
# Compiles all that is in the layer, if this machine has the functions' Python.
COMPILE = $(if $(COMPILER),$(COMPILER) -m compileall -q --invalidation-mode unchecked-hash -s "$(INTO)" -p /opt/python "$(INTO)")
