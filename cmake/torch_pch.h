// SPDX-License-Identifier: Apache-2.0
// The LibTorch headers that cpx's heavy translation units share, compiled once.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>
