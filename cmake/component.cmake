# penstock_component(NAME DEPS ... SOURCES ... [TESTS ...] [FUZZERS ...] [BENCHMARKS ...] [TEST_DEPS ...])
#
# One folder is one static library `penstock_<NAME>`; its include root is the repository, so a file is named the same
# everywhere: #include "core/vpci/function.hpp". DEPS are the folders below it and nothing else
# (tools/check/dependencies.py compares them with the #include lines).
#
# TESTS       files *_test.cpp beside the code; one GoogleTest program per folder, in the ctest label NAME
# FUZZERS     files *_fuzz.cpp; one libFuzzer program each, built with PENSTOCK_FUZZ, seeds in tests/fuzz/seeds/<stem>/
# BENCHMARKS  files *_bench.cpp; one Google Benchmark program per folder, built with PENSTOCK_BENCH
# TEST_DEPS   what only tests, fuzzers and benchmarks link besides (the simulated board)

set(PENSTOCK_WARNINGS -Wall -Wextra -Wconversion -Wshadow -Wcast-align -Wswitch-enum -Wvla -Wundef -Wthread-safety
    -Wthread-safety-beta -Werror)
set(PENSTOCK_CXX_WARNINGS -Wold-style-cast -Wnon-virtual-dtor)
set(PENSTOCK_FREESTANDING_FLAGS -ffreestanding -mgeneral-regs-only -mno-outline-atomics -mstrict-align
    -march=armv8-a -fpie -fvisibility=hidden -ffunction-sections -fdata-sections -fno-omit-frame-pointer -O2
    -fno-stack-protector -fno-asynchronous-unwind-tables)
# No function takes more than 5 KiB of a CPU's 16 KiB of stack at EL2 (hypervisor/arch/aarch64/cpu.hpp).
list(APPEND PENSTOCK_FREESTANDING_FLAGS -Wframe-larger-than=5120)
set(PENSTOCK_FREESTANDING_CXX_FLAGS -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-use-cxa-atexit)

if(PENSTOCK_FUZZ)
  add_custom_target(fuzzers COMMENT "every fuzz target")
endif()

function(penstock_flags target)
  target_compile_options(${target} PRIVATE ${PENSTOCK_WARNINGS}
      $<$<COMPILE_LANGUAGE:CXX>:${PENSTOCK_CXX_WARNINGS}>)
  if(PENSTOCK_TARGET)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:${PENSTOCK_FREESTANDING_FLAGS}>
        $<$<COMPILE_LANGUAGE:CXX>:${PENSTOCK_FREESTANDING_CXX_FLAGS}>)
  elseif(PENSTOCK_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${PENSTOCK_SANITIZE} -fno-sanitize-recover=all
        -fno-omit-frame-pointer -g)
    target_link_options(${target} PRIVATE -fsanitize=${PENSTOCK_SANITIZE})
  endif()
endfunction()

function(penstock_component name)
  cmake_parse_arguments(C "" "" "DEPS;SOURCES;TESTS;FUZZERS;BENCHMARKS;TEST_DEPS" ${ARGN})
  set(lib penstock_${name})
  list(TRANSFORM C_DEPS PREPEND penstock_)
  list(TRANSFORM C_TEST_DEPS PREPEND penstock_)
  if(C_SOURCES)
    add_library(${lib} STATIC ${C_SOURCES})
    target_include_directories(${lib} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${lib} PUBLIC ${C_DEPS})
    penstock_flags(${lib})
  else()
    add_library(${lib} INTERFACE)
    target_include_directories(${lib} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${lib} INTERFACE ${C_DEPS})
  endif()
  if(PENSTOCK_TARGET OR PENSTOCK_CTL)
    return()
  endif()

  if(C_TESTS AND NOT PENSTOCK_FUZZ AND NOT PENSTOCK_BENCH)
    find_package(GTest REQUIRED)
    add_executable(${lib}_test ${C_TESTS})
    penstock_flags(${lib}_test)
    target_link_libraries(${lib}_test PRIVATE ${lib} ${C_TEST_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${lib}_test)
    set_tests_properties(${name} PROPERTIES LABELS ${name} TIMEOUT 120)
  endif()
  if(PENSTOCK_FUZZ)
    foreach(file ${C_FUZZERS})
      get_filename_component(stem ${file} NAME_WE)
      add_executable(${stem} ${file})
      penstock_flags(${stem})
      target_link_options(${stem} PRIVATE -fsanitize=fuzzer)
      target_link_libraries(${stem} PRIVATE ${lib} ${C_TEST_DEPS})
      set_target_properties(${stem} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzzers)
      add_dependencies(fuzzers ${stem})
    endforeach()
  endif()
  if(PENSTOCK_BENCH AND C_BENCHMARKS)
    find_package(benchmark REQUIRED)
    add_executable(${lib}_bench ${C_BENCHMARKS})
    penstock_flags(${lib}_bench)
    target_link_libraries(${lib}_bench PRIVATE ${lib} ${C_TEST_DEPS} benchmark::benchmark benchmark::benchmark_main)
    set_target_properties(${lib}_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/benchmarks)
  endif()
endfunction()
