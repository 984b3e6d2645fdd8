# The libraries of the host tools, for arm64. Only libfdt and zlib have code of their own to link (./dev setup fetches
# Debian's static ones); the others are headers, the same that the workstation uses.
set(PENSTOCK_LIBFDT "${PROJECT_SOURCE_DIR}/build/payload/libfdt" CACHE PATH "libfdt for arm64: include/ and lib/libfdt.a")
set(PENSTOCK_ZLIB "${PROJECT_SOURCE_DIR}/build/payload/zlib" CACHE PATH "zlib for arm64: include/ and lib/libz.a")

# The workstation's /usr/include as a whole would bring its C library's headers along.
set(headers "${PROJECT_BINARY_DIR}/headers")
file(MAKE_DIRECTORY "${headers}")
foreach(folder CLI fmt nlohmann toml++)
  if(NOT EXISTS "/usr/include/${folder}")
    message(FATAL_ERROR "/usr/include/${folder} is not there: ./dev setup installs it")
  endif()
  file(CREATE_LINK "/usr/include/${folder}" "${headers}/${folder}" SYMBOLIC)
endforeach()

# The parser is large: compiled once, as Debian's own library is.
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/toml.cpp"
     CONTENT "#define TOML_IMPLEMENTATION\n#define TOML_HEADER_ONLY 0\n#include <toml++/toml.h>\n")
add_library(ctl_toml STATIC "${PROJECT_BINARY_DIR}/toml.cpp")
target_include_directories(ctl_toml SYSTEM PUBLIC "${headers}")
add_library(tomlplusplus::tomlplusplus ALIAS ctl_toml)

foreach(library fmt::fmt nlohmann_json::nlohmann_json CLI11::CLI11)
  add_library(${library} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${library} SYSTEM INTERFACE "${headers}")
endforeach()
target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY=1)

function(archive target file include)
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${file}")
  target_include_directories(${target} SYSTEM INTERFACE "${include}")
endfunction()
archive(fdt "${PENSTOCK_LIBFDT}/lib/libfdt.a" "${PENSTOCK_LIBFDT}/include")
archive(ZLIB::ZLIB "${PENSTOCK_ZLIB}/lib/libz.a" "${PENSTOCK_ZLIB}/include")
