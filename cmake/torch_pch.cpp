// SPDX-License-Identifier: Apache-2.0
// Carries the precompiled header; has no code of its own.
