#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

/** A test runner of thirty lines: `TEST(name) { CHECK(a == b); }`; an argument of the program selects by name. */
namespace imsdc::test {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

inline void fail(const char* file, int line, const std::string& what) {
  std::cerr << file << ':' << line << ": " << what << '\n';
  ++failures();
}

inline int runAll(int argc, char** argv) {
  const std::string_view wanted = argc > 1 ? argv[1] : "";
  int ran = 0;
  for (const Case& test : cases()) {
    if (!wanted.empty() && std::string_view(test.name).find(wanted) == std::string_view::npos) continue;
    const int before = failures();
    test.run();
    ++ran;
    std::cerr << (failures() == before ? "ok   " : "FAIL ") << test.name << '\n';
  }
  if (ran == 0) fail(__FILE__, __LINE__, "no test has that name");
  return failures() == 0 ? 0 : 1;
}

struct Registration {
  Registration(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

}  // namespace imsdc::test

#define TEST(name)                                                            \
  static void name();                                                         \
  static const imsdc::test::Registration name##Registration{#name, name};     \
  static void name()
#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) imsdc::test::fail(__FILE__, __LINE__, #condition);      \
  } while (false)
#define REQUIRE(condition)                                                    \
  do {                                                                        \
    if (!(condition)) {                                                       \
      imsdc::test::fail(__FILE__, __LINE__, #condition);                      \
      return;                                                                 \
    }                                                                         \
  } while (false)
