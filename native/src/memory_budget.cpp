#include "memory_budget.h"

#include <unistd.h>

#include <fstream>

namespace imsdc {

std::uint64_t MemoryBudget::sample() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  if (statm >> total >> resident) resident_ = resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  promised_ = 0;
  return resident_;
}

}  // namespace imsdc
