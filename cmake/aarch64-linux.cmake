# An arm64 Linux program that needs nothing of the system it runs on: for the control domain's initramfs. Debian's cross
# packages give the C and C++ libraries; clang finds them by the target's name.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -fuse-ld=lld -Wl,--gc-sections -s")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(PENSTOCK_CTL ON)
