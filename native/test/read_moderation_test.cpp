// When the loop rests between two reads of forwarded datagrams.
#include "../src/read_moderation.h"

#include "check.h"

namespace imsdc::test {
namespace {

/** A millisecond with so many buffers; whether the turn that ends with it rests. */
bool restsAfter(std::uint32_t reads, bool more = false) {
  ReadModeration moderation;
  (void)moderation.turnEnded(100);
  moderation.count(reads, more);
  return moderation.turnEnded(101);
}

TEST(denseTrafficRestsAndLittleDoesNot) {
  CHECK(restsAfter(ReadModeration::kDenseReadsPerMs));
  CHECK(!restsAfter(ReadModeration::kDenseReadsPerMs - 1));
}

TEST(aBacklogIsReadAtOnce) { CHECK(!restsAfter(ReadModeration::kDenseReadsPerMs, true)); }

TEST(whatWasDenseBeforeAPauseIsNotDense) {
  ReadModeration moderation;
  (void)moderation.turnEnded(100);
  moderation.count(1000, false);
  CHECK(!moderation.turnEnded(150));
}

TEST(aMillisecondThatIsNotDenseEndsIt) {
  ReadModeration moderation;
  (void)moderation.turnEnded(100);
  moderation.count(1000, false);
  CHECK(!moderation.turnEnded(100));
  CHECK(moderation.turnEnded(101));
  moderation.count(1, false);
  CHECK(!moderation.turnEnded(102));
}

}  // namespace
}  // namespace imsdc::test
