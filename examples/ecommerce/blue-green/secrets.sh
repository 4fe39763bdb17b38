#!/bin/sh
# Makes the secrets of both colours: ./secrets.sh BLUE_DATABASE_URL GREEN_DATABASE_URL
set -eu
kubectl create secret generic db-secret-blue -n ecommerce-blue --from-literal=url="$1"
kubectl create secret generic db-secret-green -n ecommerce-green --from-literal=url="$2"
