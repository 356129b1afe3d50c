#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "read_moderation.h"
#include "unique_fd.h"

namespace imsdc {

/** What epoll calls. A handler may remove itself or others while it runs. */
class IoHandler {
 public:
  virtual void onReadable() = 0;
  virtual void onWritable() {}

 protected:
  ~IoHandler() = default;
};

class Timer;

/** One epoll loop, single-threaded. Time is CLOCK_MONOTONIC, read once per turn. */
class Loop {
 public:
  Loop();

  void add(int descriptor, IoHandler& handler);
  void wantWrite(int descriptor, IoHandler& handler, bool want);
  void remove(int descriptor, IoHandler& handler);

  [[nodiscard]] std::uint64_t nowMs() const { return nowMs_; }
  /** Longest turn since the last call: what a datagram may have had to wait. */
  std::uint32_t takeLongestTurnUs();
  /** Counts reads of forwarded datagrams, which may make the loop rest between turns. */
  void countForwardedReads(std::uint32_t buffers, bool more) { moderation_.count(buffers, more); }

  /** Called at the start of each turn, before anything is read: returns when it wants to be called again at the latest. */
  std::function<std::uint64_t(std::uint64_t nowMs)> onTurnStart = [](std::uint64_t now) { return now + 1000; };
  /** Called at the end of each turn: work that was put off, and flushing. */
  std::function<void()> onTurnEnd = [] {};

  void run();
  void stop() { running_ = false; }

 private:
  friend class Timer;
  using Timers = std::multimap<std::uint64_t, Timer*>;

  void readClock();
  void runTimers();
  void restIfDense();
  [[nodiscard]] int waitMs(std::uint64_t turnDueMs) const;

  UniqueFd epoll_;
  Timers timers_;
  std::uint64_t nowMs_ = 0;
  std::uint64_t nowUs_ = 0;
  std::uint32_t longestTurnUs_ = 0;
  bool running_ = false;
  ReadModeration moderation_;
  std::vector<IoHandler*> removedThisTurn_;
};

/** One deadline at a time; cancelled by its destructor. */
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> action) : loop_(loop), action_(std::move(action)), entry_(loop.timers_.end()) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /** Replaces an earlier deadline. */
  void armAt(std::uint64_t deadlineMs);
  void armAfter(std::uint64_t delayMs) { armAt(loop_.nowMs() + delayMs); }
  void cancel();
  [[nodiscard]] bool armed() const { return entry_ != loop_.timers_.end(); }
  [[nodiscard]] std::uint64_t deadlineMs() const { return entry_->first; }

 private:
  friend class Loop;
  Loop& loop_;
  std::function<void()> action_;
  Loop::Timers::iterator entry_;
};

}  // namespace imsdc
