// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/forward_context.h"

namespace cpx::nn {

namespace {

thread_local bool g_adapters_are_off = false;

}  // namespace

AdapterOffGuard::AdapterOffGuard() : before_(g_adapters_are_off) { g_adapters_are_off = true; }

AdapterOffGuard::~AdapterOffGuard() { g_adapters_are_off = before_; }

bool AdapterOffGuard::is_active() { return g_adapters_are_off; }

}  // namespace cpx::nn
