// Network devices that a test bed wants processes or endpoints to be spread over, so that what they send to
// each other crosses the wire: TESTBED_DEVICES, addresses separated by commas.
#pragma once

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast::test {

/// The device for the `number`-th of them, in turn; empty where none is wanted.
inline std::string device_for(std::size_t number) {
  const char* const wanted = std::getenv("TESTBED_DEVICES");
  std::istringstream in(wanted == nullptr ? "" : wanted);
  std::vector<std::string> devices;
  for (std::string one; std::getline(in, one, ',');) devices.push_back(one);
  return devices.empty() ? std::string() : devices[number % devices.size()];
}

}  // namespace holdfast::test
