// SPDX-License-Identifier: Apache-2.0
// Texts from files in messages: core's quote() and printable().
#pragma once

#include "cpx/core/text.h"
