# SPDX-License-Identifier: Apache-2.0
"""Controls, icons and colours that know nothing of the program."""
