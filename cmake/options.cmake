# Compiler flags every floor shares.
add_library(holdfast_flags INTERFACE)
target_compile_options(holdfast_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Woverloaded-virtual -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports false positives of these from inlined standard library code and coroutine frames.
  target_compile_options(holdfast_flags INTERFACE -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow
    -Wno-array-bounds)
  if(HOLDFAST_SANITIZE MATCHES "thread")
    # Fences cannot be seen by ThreadSanitizer; the code uses none where ordering matters to it.
    target_compile_options(holdfast_flags INTERFACE -Wno-tsan)
  endif()
endif()
if(HOLDFAST_WERROR)
  target_compile_options(holdfast_flags INTERFACE -Werror)
endif()
if(HOLDFAST_SANITIZE)
  # Left out of undefined: what AddressSanitizer sees, too, and would make building take a seventh longer.
  add_compile_options(-fsanitize=${HOLDFAST_SANITIZE} -fno-sanitize=null,vptr,object-size -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HOLDFAST_SANITIZE})
endif()

# For folders whose own code need not be fast: optimising it took a third of the time of building it, and more than half
# under AddressSanitizer. (Under ThreadSanitizer a quarter, and running it takes much longer then.)
macro(holdfast_build_quickly)
  if(HOLDFAST_SANITIZE MATCHES "address")
    add_compile_options(-O0)
  elseif(NOT HOLDFAST_SANITIZE)
    add_compile_options($<$<CONFIG:Release>:-O1>)
  endif()
endmacro()

# holdfast_floor(NAME SOURCES... [LINK libs...] [PRIVATE_LINK libs...])
# A floor is an object library: its headers are seen by the floors that link it, its objects end up in the
# one library users link, holdfast::holdfast.
function(holdfast_floor name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(holdfast_${name} OBJECT ${arg_SOURCES})
  target_include_directories(holdfast_${name} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
    PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(holdfast_${name} PUBLIC ${arg_LINK} PRIVATE holdfast_flags ${arg_PRIVATE_LINK})
endfunction()
