"""Running AgentOS on this machine: home folder, engine process, hosts of workers, supervision."""
