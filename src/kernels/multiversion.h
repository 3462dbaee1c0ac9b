// SPDX-License-Identifier: Apache-2.0
// Wider vector units where the CPU has them. The floor is x86-64-v3 (AVX2); the compiler makes a
// second body for x86-64-v4 (AVX-512) of a function marked so, and the loader chooses.
#pragma once

/// For loops over plain arrays, in functions without lambdas: a lambda has a body of its own. Its
/// floating-point sums may differ in their last bits between the two bodies, never between runs on
/// one machine. Under sanitizers there is the floor alone, so that tests see both;
/// and with the build option CPX_AVX2_ONLY.
#if defined(CPX_AVX2_ONLY) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CPX_MULTIVERSION
#else
#define CPX_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "default")))
#endif
