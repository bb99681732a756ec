// Holdfast beside MPI: arrays go through the store, the check goes through MPI. mpirun -n 4 beside_mpi
//
// The order that works under every launcher: MPI_Init, open the store, work, close the store, MPI_Finalize.
#include <holdfast/holdfast.h>
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <vector>

namespace {

using namespace holdfast;
using namespace std::chrono_literals;

constexpr std::size_t kCells = 1 << 20;

/// The sum of a rank's cells, as everybody can compute it: whole numbers, so that it is exact in any order.
double sum_of(std::span<const double> cells) { return std::accumulate(cells.begin(), cells.end(), 0.0); }

Result<bool> run() {
  HOLDFAST_TRY(Store store, Store::open());
  const std::uint32_t me = store.rank(), left = (me + store.size() - 1) % store.size();
  int mpi_rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &mpi_rank);

  std::vector<double> cells(kCells);
  for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = static_cast<double>((i + 7 * me) % 1000);
  HOLDFAST_TRY(const ObjectRef ref, store.put(name("cells", me), std::as_bytes(std::span(cells))));
  HOLDFAST_TRY(const Pin pin, store.get(name("cells", left), 30s));

  // Every rank's cells are somebody's neighbour's: both sums over all ranks must be the same.
  const double mine[2] = {sum_of(cells), sum_of(pin.as<double>())};
  double all[2] = {};
  MPI_Allreduce(mine, all, 2, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  const bool agreed = all[0] == all[1] && pin.size() == kCells * sizeof(double);
  std::printf("MPI rank %d is Holdfast rank %u of %u; sums through MPI %.0f, through Holdfast %.0f: %s\n",
              mpi_rank, me, store.size(), all[0], all[1], agreed ? "the same" : "they differ");

  HOLDFAST_DO(store.barrier(30s));  // nobody leaves while others still read
  HOLDFAST_DO(store.erase(ref, 30s));
  HOLDFAST_DO(store.barrier(30s));
  HOLDFAST_DO(store.close());
  return agreed;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const auto agreed = run();
  if (!agreed) std::fprintf(stderr, "%s\n", agreed.error().message().c_str());
  if (!agreed) MPI_Abort(MPI_COMM_WORLD, 1);  // the others wait for this rank
  MPI_Finalize();
  return *agreed ? 0 : 1;
}
