#include "check.h"

int main(int argc, char** argv) { return imsdc::test::runAll(argc, argv); }
