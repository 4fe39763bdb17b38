module github.com/headgate-dev/headgate/test/cluster

go 1.26.0
