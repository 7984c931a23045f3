# The AVX-512 kernels in emulation, where this machine's own CPU need not have AVX-512: the same sources, compiled against
# SIMDe, replace those in the library. And the benchmark of the kernels, built on demand (ninja bench_kernels).
find_path(SIMDE_INCLUDE simde/x86/avx512.h)
if(SIMDE_INCLUDE AND TARGET linnet_core AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64" AND NOT LINNET_SANITIZE) # emulated intrinsics take minutes to compile under sanitizers
  file(GLOB emulated CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/core/x86/*_avx512*.c)
  add_library(kernels_avx512_emulated OBJECT ${emulated})
  target_link_libraries(kernels_avx512_emulated PRIVATE linnet_flags)
  target_include_directories(kernels_avx512_emulated SYSTEM PRIVATE ${SIMDE_INCLUDE})
  target_compile_definitions(kernels_avx512_emulated PRIVATE LINNET_SIMDE)
  # 512-bit values in registers of 256 have another calling convention, which matters to nobody within one file.
  target_compile_options(kernels_avx512_emulated PRIVATE -mavx2 -mfma -mf16c -Wno-psabi)
  foreach(noun kernels gemv)
    set(name test_${noun}_avx512_emulated)
    add_executable(${name} test_${noun}.c $<TARGET_OBJECTS:kernels_avx512_emulated>)
    target_link_libraries(${name} PRIVATE linnet_core PkgConfig::CMOCKA)
    target_compile_definitions(${name} PRIVATE LINNET_SIMDE)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 600)
  endforeach()
endif()

if(TARGET linnet_core)
  add_executable(bench_kernels EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/bench/bench_kernels.c)
  target_link_libraries(bench_kernels PRIVATE linnet_core)
endif()
