// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/interrupt.h"

#include <csignal>

namespace cpx {

namespace {

volatile std::sig_atomic_t g_requested = 0;

void on_signal(int signal) {
  if (g_requested != 0) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  g_requested = 1;
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupt_requested() { return g_requested != 0; }

void clear_interrupt() { g_requested = 0; }

}  // namespace cpx
