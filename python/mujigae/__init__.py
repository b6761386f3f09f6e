"""mujigae: a replay engine in C++ and the DQN family up to Rainbow."""
