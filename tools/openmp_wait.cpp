// SPDX-License-Identifier: Apache-2.0
// How long an OpenMP thread spins before it sleeps: briefly. libgomp's default spins for
// milliseconds, and where another program wants the same cores each meeting of the threads then
// costs a time slice: beside a compiler a step of decoding, which has 150 of them, took 30 times
// as long. On a quiet machine a brief spin costs nothing that can be measured.
#include <cstdlib>

namespace {

// libgomp reads the variables when it is loaded, so they are set before any library starts.
void set_openmp_wait(int, char**, char**) {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
    setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0);
  }
}

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" {
[[gnu::section(".preinit_array"),
  gnu::used]] void (*const cpx_set_openmp_wait)(int, char**, char**) = set_openmp_wait;
}
#endif
