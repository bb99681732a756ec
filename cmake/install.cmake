# What `cmake --install` puts where: the library, its headers, the commands, and what find_package and pkg-config read.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Holdfast)

# Until 1.0, minor versions may change what is linked against.
set_target_properties(holdfast PROPERTIES VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
install(TARGETS holdfast EXPORT HoldfastTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(floor base numa fabric core)  # the simulator is for our own tests and commands
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${floor}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN *.h PATTERN sim EXCLUDE)
endforeach()

# The commands find a shared library beside them, wherever the prefix is moved.
file(RELATIVE_PATH from_bin /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
set_target_properties(holdfast-command PROPERTIES INSTALL_RPATH "$ORIGIN/${from_bin}")
if(HOLDFAST_BENCH)
  file(RELATIVE_PATH from_libexec /${CMAKE_INSTALL_LIBEXECDIR}/holdfast /${CMAKE_INSTALL_LIBDIR})
  get_property(bench_programs DIRECTORY ${PROJECT_SOURCE_DIR}/bench PROPERTY BUILDSYSTEM_TARGETS)
  if(bench_programs)
    set_target_properties(${bench_programs} PROPERTIES INSTALL_RPATH "$ORIGIN/${from_libexec}")
  endif()
endif()

# find_package(Holdfast)
install(EXPORT HoldfastTargets NAMESPACE holdfast:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/HoldfastConfig.cmake.in
  ${PROJECT_BINARY_DIR}/HoldfastConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/HoldfastConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/HoldfastConfig.cmake ${PROJECT_BINARY_DIR}/HoldfastConfigVersion.cmake
  DESTINATION ${package_dir})

# pkg-config: who links the archive links what it uses, too; a shared library brings that along.
set(needs "fmt, spdlog, hwloc, libfabric, liburing, pmix")
get_target_property(library_type holdfast TYPE)
if(library_type STREQUAL "SHARED_LIBRARY")
  set(pc_requires "")
  set(pc_requires_private "${needs}")
else()
  set(pc_requires "${needs}")
  set(pc_requires_private "")
endif()
file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})
configure_file(${CMAKE_CURRENT_LIST_DIR}/holdfast.pc.in ${PROJECT_BINARY_DIR}/holdfast.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/holdfast.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Documents lie as they do in the sources, with all that they link to (the install test follows the links).
set(doc_dir ${CMAKE_INSTALL_DATAROOTDIR}/doc/holdfast)
install(FILES README.md CONTRIBUTING.md LICENSE DESTINATION ${doc_dir})
install(FILES ci/packages.txt DESTINATION ${doc_dir}/ci)
foreach(floor base numa fabric core)
  install(FILES ${floor}/README.md DESTINATION ${doc_dir}/${floor})
endforeach()
install(DIRECTORY docs/ DESTINATION ${doc_dir}/docs FILES_MATCHING PATTERN *.md)
install(FILES examples/hello.cpp examples/beside_mpi.cpp DESTINATION ${doc_dir}/examples)
install(DIRECTORY examples/consumer examples/outofcore examples/wordcount DESTINATION ${doc_dir}/examples)
