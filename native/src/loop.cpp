#include "loop.h"

#include <sys/epoll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

namespace imsdc {
namespace {

constexpr int kEventsPerTurn = 256;
constexpr unsigned long kTimerSlackNs = 1000;  // the kernel's 50 us would double a rest

epoll_event eventFor(IoHandler& handler, std::uint32_t mask) {
  epoll_event event{};
  event.events = mask;
  event.data.ptr = &handler;
  return event;
}

}  // namespace

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
  readClock();
}

void Loop::add(int descriptor, IoHandler& handler) {
  epoll_event event = eventFor(handler, EPOLLIN);
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event);
}

void Loop::wantWrite(int descriptor, IoHandler& handler, bool want) {
  epoll_event event = eventFor(handler, want ? EPOLLIN | EPOLLOUT : EPOLLIN);
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event);
}

void Loop::remove(int descriptor, IoHandler& handler) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
  removedThisTurn_.push_back(&handler);  // an event of it may already have been fetched
}

void Loop::readClock() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  nowUs_ = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
  nowMs_ = nowUs_ / 1000;
}

std::uint32_t Loop::takeLongestTurnUs() {
  const std::uint32_t longest = longestTurnUs_;
  longestTurnUs_ = 0;
  return longest;
}

int Loop::waitMs(std::uint64_t turnDueMs) const {
  std::uint64_t due = turnDueMs;
  if (!timers_.empty()) due = std::min(due, timers_.begin()->first);
  return due <= nowMs_ ? 0 : static_cast<int>(std::min<std::uint64_t>(due - nowMs_, 60'000));
}

void Loop::runTimers() {
  while (!timers_.empty() && timers_.begin()->first <= nowMs_) {
    Timer* timer = timers_.begin()->second;
    timer->cancel();
    timer->action_();  // may destroy the timer
  }
}

void Loop::restIfDense() {
  if (!moderation_.turnEnded(nowMs_)) return;
  const timespec rest{0, ReadModeration::kRestUs * 1000};
  nanosleep(&rest, nullptr);  // a signal may end it early
}

void Loop::run() {
  running_ = true;
  std::array<epoll_event, kEventsPerTurn> events{};
  std::uint64_t turnDueMs = onTurnStart(nowMs_);
  while (running_) {
    const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, waitMs(turnDueMs));
    if (count < 0 && errno != EINTR) return;
    readClock();
    const std::uint64_t startedUs = nowUs_;
    removedThisTurn_.clear();
    turnDueMs = onTurnStart(nowMs_);
    for (int index = 0; index < count; ++index) {
      const epoll_event& event = events[static_cast<std::size_t>(index)];
      auto* handler = static_cast<IoHandler*>(event.data.ptr);
      const auto removed = [&] {
        return std::find(removedThisTurn_.begin(), removedThisTurn_.end(), handler) != removedThisTurn_.end();
      };
      if ((event.events & EPOLLOUT) != 0 && !removed()) handler->onWritable();
      if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !removed()) handler->onReadable();
    }
    // After the descriptors: when this process has not run for long, what waits there is older than the deadlines.
    runTimers();
    onTurnEnd();
    readClock();
    longestTurnUs_ = std::max(longestTurnUs_, static_cast<std::uint32_t>(nowUs_ - startedUs));
    restIfDense();
  }
}

void Timer::armAt(std::uint64_t deadlineMs) {
  cancel();
  entry_ = loop_.timers_.emplace(deadlineMs, this);
}

void Timer::cancel() {
  if (!armed()) return;
  loop_.timers_.erase(entry_);
  entry_ = loop_.timers_.end();
}

}  // namespace imsdc
