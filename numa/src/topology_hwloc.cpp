// Reads a Topology from hwloc. The one file of Holdfast that includes hwloc's header.
#include <fmt/format.h>
#include <hwloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "holdfast/numa/system_files.h"
#include "holdfast/numa/topology.h"
#include "topology_data.h"

namespace holdfast::numa {
namespace {

struct HwlocDeleter {
  void operator()(hwloc_topology* topology) const noexcept { hwloc_topology_destroy(topology); }
};
using Hwloc = std::unique_ptr<hwloc_topology, HwlocDeleter>;

/// What looks for accelerators and displays: it starts their drivers in every rank, which costs memory and
/// time and tells nothing about memory nodes or networks. And libpciaccess ("pci"), which leaks: on Linux
/// hwloc reads the buses from /sys as well.
constexpr std::array kUnwanted = {"opencl", "cuda", "nvml", "rsmi", "levelzero", "gl", "pci"};

Hwloc make_hwloc() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return nullptr;
  for (const char* component : kUnwanted) {
    hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, component);
  }
  // Network devices matter even where hwloc would call them unimportant.
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_OS_DEVICE, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_BRIDGE, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  return Hwloc(topology);
}

/// Sets which node each processor belongs to. hwloc gives a node without processors (high-bandwidth or far
/// memory) those of the part of the machine it serves; so a processor's own node is the one that serves the
/// fewest, and of equals the lowest number, which is the ordinary memory.
void assign_cpus(const std::vector<hwloc_obj_t>& objects, Topology::Impl& into) {
  std::vector<hwloc_obj_t> by_preference = objects;
  std::stable_sort(by_preference.begin(), by_preference.end(), [](hwloc_obj_t a, hwloc_obj_t b) {
    return hwloc_bitmap_weight(a->cpuset) < hwloc_bitmap_weight(b->cpuset);
  });
  std::size_t cpus = 0;
  for (hwloc_obj_t object : objects) {
    const int last = hwloc_bitmap_last(object->cpuset);
    if (last >= 0) cpus = std::max(cpus, static_cast<std::size_t>(last) + 1);
  }
  into.node_of_cpu.assign(cpus, into.nodes.front().id);
  for (unsigned cpu = 0; cpu < into.node_of_cpu.size(); ++cpu) {
    const auto owner = std::find_if(by_preference.begin(), by_preference.end(), [cpu](hwloc_obj_t object) {
      return hwloc_bitmap_isset(object->cpuset, cpu) != 0;
    });
    if (owner == by_preference.end()) continue;
    into.node_of_cpu[cpu] = NodeId{(*owner)->os_index};
    into.nodes[into.position(NodeId{(*owner)->os_index})].cpus.push_back(cpu);
  }
}

void read_nodes(hwloc_topology_t from, Topology::Impl& into) {
  std::vector<hwloc_obj_t> objects;
  for (hwloc_obj_t object = nullptr;
       (object = hwloc_get_next_obj_by_type(from, HWLOC_OBJ_NUMANODE, object)) != nullptr;) {
    objects.push_back(object);
  }
  if (objects.empty()) return;
  // hwloc numbers nodes logically; the operating system's numbers are what mbind takes.
  std::sort(objects.begin(), objects.end(),
            [](hwloc_obj_t a, hwloc_obj_t b) { return a->os_index < b->os_index; });
  for (hwloc_obj_t object : objects) {
    Node node;
    node.id.value = object->os_index;
    node.memory_bytes = object->attr->numanode.local_memory;
    into.nodes.push_back(std::move(node));
  }
  assign_cpus(objects, into);
}

void read_distances(hwloc_topology_t from, Topology::Impl& into) {
  const std::size_t count = into.nodes.size();
  into.distances.assign(count * count, kRemoteDistance);
  for (std::size_t i = 0; i < count; ++i) into.distances[i * count + i] = kLocalDistance;

  hwloc_distances_s* matrix = nullptr;
  unsigned matrices = 1;
  const int rc = hwloc_distances_get_by_type(from, HWLOC_OBJ_NUMANODE, &matrices, &matrix,
                                             HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
  if (rc != 0 || matrices == 0 || matrix == nullptr) return;
  for (unsigned i = 0; i < matrix->nbobjs; ++i) {
    for (unsigned j = 0; j < matrix->nbobjs; ++j) {
      const std::size_t row = into.position(NodeId{matrix->objs[i]->os_index});
      const std::size_t column = into.position(NodeId{matrix->objs[j]->os_index});
      if (row >= count || column >= count) continue;
      into.distances[row * count + column] =
          static_cast<std::uint32_t>(matrix->values[i * matrix->nbobjs + j]);
    }
  }
  hwloc_distances_release(from, matrix);
}

/// An Ethernet address has 6 bytes, IP over InfiniBand 20; loopback and tunnels have none or zeros.
std::string kind_of_network(hwloc_obj_t device) {
  const char* address = hwloc_obj_get_info_by_name(device, "Address");
  const std::string_view text = address != nullptr ? address : "";
  if (text.find_first_not_of("0:") == std::string_view::npos) return "other";
  constexpr std::size_t kEthernetText = 6 * 3 - 1;
  return text.size() > kEthernetText ? "infiniband" : "ethernet";
}

/// The node of the part of the machine that the device's bus hangs on. Nothing for devices that no bus
/// carries, and for a bus that hangs on several nodes alike.
std::optional<NodeId> node_of_device(hwloc_topology_t topology, hwloc_obj_t device) {
  bool on_bus = false;
  hwloc_obj_t place = device;
  while (place != nullptr && hwloc_obj_type_is_io(place->type)) {
    on_bus = on_bus || place->type == HWLOC_OBJ_PCI_DEVICE || place->type == HWLOC_OBJ_BRIDGE;
    place = place->parent;
  }
  if (!on_bus || place == nullptr || place->nodeset == nullptr) return std::nullopt;
  // Ordinary and high-bandwidth memory may lie beside the same processors; the ordinary one has the lower
  // number. Nodes with processors of their own are a choice that the machine does not make.
  std::optional<NodeId> nearest;
  for (hwloc_obj_t node = nullptr;
       (node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != nullptr;) {
    if (!hwloc_bitmap_isset(place->nodeset, node->os_index)) continue;
    if (hwloc_bitmap_weight(place->nodeset) > 1 && !hwloc_bitmap_isequal(node->cpuset, place->cpuset))
      continue;
    if (!nearest || node->os_index < nearest->value) nearest = NodeId{node->os_index};
  }
  return nearest;
}

void read_nics(hwloc_topology_t from, Topology::Impl& into) {
  for (hwloc_obj_t device = nullptr; (device = hwloc_get_next_osdev(from, device)) != nullptr;) {
    const hwloc_obj_osdev_type_t type = device->attr->osdev.type;
    if (type != HWLOC_OBJ_OSDEV_NETWORK && type != HWLOC_OBJ_OSDEV_OPENFABRICS) continue;
    if (device->name == nullptr) continue;
    Nic nic;
    nic.name = device->name;
    nic.kind = type == HWLOC_OBJ_OSDEV_OPENFABRICS ? "infiniband" : kind_of_network(device);
    nic.node = node_of_device(from, device);
    into.nics.push_back(std::move(nic));
  }
  std::sort(into.nics.begin(), into.nics.end(), [](const Nic& a, const Nic& b) { return a.name < b.name; });
}

/// Those of `devices` that hwloc did not list.
void add_missing(std::vector<Nic>& nics, std::vector<Nic> devices) {
  for (Nic& device : devices)
    if (std::ranges::find(nics, device.name, &Nic::name) == nics.end()) nics.push_back(std::move(device));
  std::ranges::sort(nics, {}, &Nic::name);
}

/// Loads what was chosen and copies it out. Errors: `code`, with hwloc's reason.
Result<std::shared_ptr<Topology::Impl>> load(Hwloc hwloc, Code code, std::string_view operation,
                                             std::string_view what) {
  errno = 0;
  if (hwloc_topology_load(hwloc.get()) != 0) {
    return fail(code, operation,
                fmt::format("hwloc cannot load {}: {}", what,
                            errno != 0 ? std::generic_category().message(errno) : "not a valid topology"));
  }
  auto impl = std::make_shared<Topology::Impl>();
  read_nodes(hwloc.get(), *impl);
  if (impl->nodes.empty()) return fail(code, operation, fmt::format("{} has no NUMA node", what));
  // hwloc's own variables (HWLOC_XMLFILE, HWLOC_SYNTHETIC) can put another machine under discover().
  impl->this_machine = hwloc_topology_is_thissystem(hwloc.get()) != 0;
  read_distances(hwloc.get(), *impl);
  read_nics(hwloc.get(), *impl);
  return impl;
}

constexpr std::string_view kNoHwloc = "hwloc cannot be started; is memory exhausted?";

}  // namespace

Result<Topology> Topology::discover() {
  constexpr std::string_view kOperation = "Topology::discover";
  Hwloc hwloc = make_hwloc();
  if (!hwloc) return fail(Code::system, kOperation, std::string(kNoHwloc));
  HOLDFAST_TRY(auto impl, load(std::move(hwloc), Code::system, kOperation, "this machine"));
  if (impl->this_machine) {
    const SystemFiles system;
    for (Node& node : impl->nodes) node.huge_pages = system.huge_pages(node.id);
    add_missing(impl->nics, system.verbs_devices());
  }
  return Topology(std::move(impl));
}

Result<Topology> Topology::from_synthetic(std::string_view description) {
  constexpr std::string_view kOperation = "Topology::from_synthetic";
  Hwloc hwloc = make_hwloc();
  if (!hwloc) return fail(Code::system, kOperation, std::string(kNoHwloc));
  const std::string text(description);
  if (hwloc_topology_set_synthetic(hwloc.get(), text.c_str()) != 0) {
    return fail(
        Code::invalid, kOperation,
        fmt::format("'{}' is not a synthetic topology as hwloc reads it, such as \"numa:4 core:2 pu:1\"",
                    description));
  }
  HOLDFAST_TRY(auto impl, load(std::move(hwloc), Code::invalid, kOperation, text));
  return Topology(std::move(impl));
}

Result<Topology> Topology::from_xml_file(std::string_view path) {
  constexpr std::string_view kOperation = "Topology::from_xml_file";
  const std::string name(path);
  if (::access(name.c_str(), R_OK) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      return fail(Code::not_found, kOperation, fmt::format("there is no file {}", name));
    }
    return fail_errno(error, kOperation, name);
  }
  Hwloc hwloc = make_hwloc();
  if (!hwloc) return fail(Code::system, kOperation, std::string(kNoHwloc));
  if (hwloc_topology_set_xml(hwloc.get(), name.c_str()) != 0) {
    return fail(Code::invalid, kOperation, fmt::format("{} is not XML that lstopo has written", name));
  }
  HOLDFAST_TRY(auto impl, load(std::move(hwloc), Code::invalid, kOperation, name));
  return Topology(std::move(impl));
}

}  // namespace holdfast::numa
