// The GIL, released for a while.
//
// Until Python 3.13 a daemon thread that asks for the GIL while the interpreter ends is ended by pthread_exit, which unwinds its stack.
// In a destructor that ends the program (std::terminate), and elsewhere Python objects would be counted without the GIL. So such a
// thread stays here instead, as it does from Python 3.14 on: the program ends without it, with its own exit status.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace mujigae::bindings {

// Nothing of Python may be touched while it lives, and no mutex may be held when it ends.
class ReleasedGil {
 public:
  ReleasedGil() : thread_(PyEval_SaveThread()) {}
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;
  ~ReleasedGil() {
    try {
      PyEval_RestoreThread(thread_);
    } catch (...) {  // pthread_exit on its way
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }

 private:
  PyThreadState* thread_;
};

}  // namespace mujigae::bindings
