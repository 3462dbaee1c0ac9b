// SPDX-License-Identifier: Apache-2.0
// SIGINT and SIGTERM request a clean stop; long loops check for it between two pieces of work.
#pragma once

namespace cpx {

/// Installs the handlers; a second signal ends the process at once.
void install_interrupt_handlers();

/// True once SIGINT or SIGTERM has arrived.
bool interrupt_requested();

/// Forgets a signal (for tests).
void clear_interrupt();

}  // namespace cpx
