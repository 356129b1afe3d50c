// A process that has not been scheduled for long must not take the time it lost for the silence of its peers.
#include <unistd.h>

#include <array>
#include <string>

#include "../src/loop.h"
#include "../src/peer_liveness.h"
#include "check.h"

namespace imsdc::test {
namespace {

using Verdict = PeerLiveness::Verdict;
constexpr std::uint32_t kHeartbeatMs = 25'000;
constexpr std::uint64_t kLookEveryMs = 5000;

TEST(aStallOfThisProcessIsNotTheSilenceOfThePeer) {
  PeerLiveness liveness;
  liveness.heard(1000);
  CHECK(liveness.look(3000, true, kHeartbeatMs) == Verdict::alive);
  // Stopped for a minute with data under way: the timer that is due comes before the acknowledgement that waits.
  CHECK(liveness.look(63'000, true, kHeartbeatMs) == Verdict::alive);
  liveness.heard(63'001);
  CHECK(liveness.look(68'000, true, kHeartbeatMs) == Verdict::alive);
  // A second stall later counts from the beginning again.
  CHECK(liveness.look(128'000, true, kHeartbeatMs) == Verdict::alive);
}

TEST(aPeerThatStaysSilentIsGoneAtTheSecondLook) {
  PeerLiveness liveness;
  liveness.heard(0);
  std::uint64_t now = 0;
  while (liveness.look(now, true, kHeartbeatMs) == Verdict::alive && now < 60'000) now += kLookEveryMs;
  CHECK(now == PeerLiveness::kSilentWithDataMs + kLookEveryMs);
}

TEST(withoutDataTwoHeartbeatsMayGoUnanswered) {
  PeerLiveness liveness;
  liveness.heard(0);
  std::uint64_t now = 0;
  while (liveness.look(now, false, kHeartbeatMs) == Verdict::alive && now < 120'000) now += kLookEveryMs;
  CHECK(now == 2 * kHeartbeatMs + PeerLiveness::kHeartbeatGraceMs + kLookEveryMs);
  // Without heartbeats an idle peer has no reason to speak.
  PeerLiveness idle;
  for (std::uint64_t at = 0; at < 600'000; at += kLookEveryMs) CHECK(idle.look(at, false, 0) == Verdict::alive);
}

/** A pipe with a byte in it, and who reads it notes that. */
class WaitingByte final : public IoHandler {
 public:
  WaitingByte(Loop& loop, std::string& order) : loop_(loop), order_(order) {
    ready_ = pipe(ends_.data()) == 0 && write(ends_[1], "x", 1) == 1;
    loop_.add(ends_[0], *this);
  }
  ~WaitingByte() {
    loop_.remove(ends_[0], *this);
    for (const int end : ends_) close(end);
  }
  [[nodiscard]] bool ready() const { return ready_; }
  void onReadable() override {
    char byte = 0;
    if (read(ends_[0], &byte, 1) == 1) order_ += 'r';
  }

 private:
  Loop& loop_;
  std::string& order_;
  std::array<int, 2> ends_{};
  bool ready_ = false;
};

TEST(whatWaitsToBeReadComesBeforeDeadlinesThatHavePassed) {
  Loop loop;
  std::string order;
  WaitingByte byte(loop, order);
  REQUIRE(byte.ready());
  Timer late(loop, [&] {
    order += 't';
    loop.stop();
  });
  late.armAfter(0);
  loop.run();
  CHECK(order == "rt");
}

}  // namespace
}  // namespace imsdc::test
